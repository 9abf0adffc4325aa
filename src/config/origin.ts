import type { Complaint } from "./errors.js";

/** Where a value comes from. */
export type Origin =
  | { readonly kind: "file"; readonly path: string; readonly line: number }
  /** A flag such as `--ttl`, or a variable such as `STORMLOCK_TTL`. */
  | { readonly kind: "given"; readonly name: string };

/** By the value's place, as in `[default] ttl`; what is not in it is built in. */
export type Origins = ReadonlyMap<string, Origin>;

/** An origin in words. */
export function originText(origin: Origin | undefined): string {
  if (origin === undefined) return "built in";
  return origin.kind === "given" ? origin.name : `${origin.path}:${String(origin.line)}`;
}

/** Whom a complaint about a value goes to: the line, the flag or the variable it comes from. */
export function blame(
  place: string,
  origins: Origins,
): Pick<Complaint, "file" | "line" | "key" | "isUsage"> {
  const origin = origins.get(place);
  if (origin === undefined) return { key: place };
  if (origin.kind === "file") return { file: origin.path, line: origin.line, key: place };
  return { key: origin.name, isUsage: origin.name.startsWith("--") };
}
