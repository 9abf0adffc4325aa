import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { MARKER_VARIABLE, ProcessTree } from "../../cmd/stormlock/hold/process-tree.js";
import { Guardian } from "../../cmd/stormlock/hold/guardian.js";
import { toLine } from "../../cmd/stormlock/hold/guardian-messages.js";
import { hostNow, later } from "../../cmd/stormlock/hold/host-time.js";

const TERM_BIT = 1 << 14;
const MARKER = "hold-guardian-test";

// It blocks SIGTERM, so that one that was sent stays to be seen in /proc.
const BLOCKS_TERM =
  "use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM)); $| = 1; print qq(ready\\n); sleep 60";

function wasAsked(pid: number): boolean {
  const status = readFileSync(`/proc/${String(pid)}/status`, "latin1");
  const pending = /^ShdPnd:\s*([0-9a-f]+)$/mu.exec(status)?.[1] ?? "";
  return (Number.parseInt(pending, 16) & TERM_BIT) !== 0;
}

// Else the wrapper may see its command die, and not know why: exit code 143 in place of 76.
describe.runIf(process.platform === "linux")("a guardian", () => {
  test("says that it asks the command to end before it does so", async () => {
    const child = spawn("perl", ["-e", BLOCKS_TERM], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, [MARKER_VARIABLE]: MARKER },
    });
    await once(child.stdout, "data");
    const pid = child.pid ?? 0;
    const said: [string, boolean][] = [];
    const left = new Promise<void>((resolve) => {
      const guardian = new Guardian({
        wrapperPid: process.pid,
        send: (line) => {
          const { say } = JSON.parse(line) as { say: string };
          if (say === "guarding") return;
          said.push([say, wasAsked(pid)]);
          // By the next turn it has done what it said.
          setImmediate(() => {
            said.push(["a turn later", wasAsked(pid)]);
            child.kill("SIGKILL");
            child.once("exit", () => {
              guardian.wrapperDied();
            });
          });
        },
        exit: resolve,
      });
      const now = hostNow();
      guardian.read(
        toLine({
          ...{ say: "guard", marker: MARKER, leadsSession: false, endsAtDeadline: true },
          ...{ graceMs: 30_000, deadline: later(now, 30_000) },
        }),
      );
      guardian.read(toLine({ say: "child", pid, startTicks: 0 }));
    });
    await left;
    expect(said).toEqual([
      ["terminating", false],
      ["a turn later", true],
    ]);
  });

  test("kills in time on a host so crowded that each look for what is left takes long", async () => {
    const begun = hostNow();
    const sinceMs = (): number => hostNow().hrMs - begun.hrMs;
    const counting = vi.spyOn(ProcessTree.prototype, "count").mockImplementation(() => {
      const untilMs = sinceMs() + 300;
      while (sinceMs() < untilMs);
      return 1;
    });
    const killing = vi.spyOn(ProcessTree.prototype, "kill");
    try {
      const killedMs = await new Promise<number>((resolve) => {
        killing.mockImplementation(() => {
          counting.mockReturnValue(0);
          resolve(sinceMs());
          return 0;
        });
        const guardian = new Guardian({
          wrapperPid: 0,
          send: () => undefined,
          exit: () => undefined,
        });
        guardian.read(
          toLine({
            ...{ say: "guard", marker: MARKER, leadsSession: false, endsAtDeadline: true },
            ...{ graceMs: 1000, deadline: later(begun, 1000) },
          }),
        );
        guardian.wrapperDied();
      });
      // A look that had begun at 900 would have been over at 1200.
      expect(counting.mock.calls.length).toBeGreaterThan(0);
      expect(killedMs).toBeGreaterThan(980); // The uptime has steps of 10 ms.
      expect(killedMs).toBeLessThan(1150);
    } finally {
      vi.restoreAllMocks();
    }
  });
});
