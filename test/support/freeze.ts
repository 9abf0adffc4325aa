import { readdirSync, readFileSync } from "node:fs";

const STOPPED_WITHIN_MS = 2000;

/**
 * Stops a process as SIGSTOP does, and returns when none of its threads runs any more. The signal
 * alone does not say when: on a busy machine some threads go on for a while, and answer.
 */
export function freeze(pid: number): void {
  process.kill(pid, "SIGSTOP");
  const endMs = performance.now() + STOPPED_WITHIN_MS;
  while (!isStopped(pid)) {
    if (performance.now() > endMs) throw new Error(`process ${String(pid)} does not stop`);
  }
}

function isStopped(pid: number): boolean {
  const threads = `/proc/${String(pid)}/task`;
  return readdirSync(threads).every((id) => {
    const stat = readFileSync(`${threads}/${id}/stat`, "utf8");
    // The state comes after the name, which is in brackets and may hold some itself.
    return stat.slice(stat.lastIndexOf(")")).startsWith(") T");
  });
}
