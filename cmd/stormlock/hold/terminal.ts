import { closeSync, openSync } from "node:fs";
import type { ProcessTable } from "./process-table.js";

/**
 * Whether this process has a controlling terminal: then keys and job control reach the command
 * through its process group, which it must share with us.
 */
export function hasControllingTerminal(table: ProcessTable): boolean {
  const stat = table.stat(process.pid);
  if (stat !== undefined) return stat.terminal !== 0;
  try {
    closeSync(openSync("/dev/tty", "r+"));
    return true;
  } catch {
    return false;
  }
}
