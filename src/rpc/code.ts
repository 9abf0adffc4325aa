import { Code } from "./status.js";

const NAMES = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]));

/** A code's name, e.g. ALREADY_EXISTS. */
export function codeName(code: number): string {
  return NAMES.get(code) ?? String(code);
}
