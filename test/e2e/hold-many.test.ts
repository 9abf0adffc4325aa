// Ten thousand leases on ten streams: none is lost, and the daemon hardly notices.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { connect, type Hold } from "../../src/index.js";
import { HoldHome, hostMs, isLong, pause } from "../support/hold-cli.js";

const STREAMS = 10;
const LEASES = 1000;
// Longer than a lease lives by itself, where there is time for that.
const KEPT_MS = isLong ? 60_000 : 10_000;
// Ten thousand are taken beside other tests here, and alone there.
const TTL_MS = isLong ? 15_000 : 30_000;

test(
  `ten thousand leases over ten streams are kept for ${String(KEPT_MS / 1000)} s`,
  { timeout: KEPT_MS + 60_000 },
  async () => {
    await using home = await HoldHome.make();
    const { address, running } = await home.daemon();
    const clients = Array.from({ length: STREAMS }, () => connect({ servers: [address] }));
    let lost = 0;
    const holds: Hold[] = [];
    const begunMs = hostMs();
    await Promise.all(
      clients.flatMap((client, stream) =>
        Array.from({ length: LEASES }, async (_, at) => {
          const name = `many/${String(stream)}/${String(at)}`;
          const result = await client.hold(name, { ttlMs: TTL_MS });
          if (result.kind !== "granted") throw new Error(result.message);
          result.hold.signal.addEventListener("abort", () => (lost += 1));
          holds.push(result.hold);
        }),
      ),
    );
    const takenMs = hostMs() - begunMs;
    const tokens = holds.map(({ token }) => token);
    const before = usage(running.pid);
    const keptSinceMs = hostMs();
    let atRisk = 0;
    while (hostMs() < keptSinceMs + KEPT_MS) {
      await pause(250);
      atRisk = Math.max(atRisk, holds.filter(({ state }) => state !== "HELD").length);
    }
    const after = usage(running.pid);
    expect(lost).toBe(0);
    expect(holds.filter(({ isHeld }) => isHeld)).toHaveLength(STREAMS * LEASES);
    expect(holds.map(({ token }) => token)).toEqual(tokens);
    const names = new Set<string>();
    for await (const { resource } of connect({ servers: [address] }).list("many/")) {
      names.add(resource);
    }
    expect(names.size).toBe(STREAMS * LEASES);

    const share = (after.cpuMs - before.cpuMs) / (hostMs() - keptSinceMs);
    const closeMs = hostMs();
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    if (isLong) {
      process.stdout.write(
        `10 000 leases: taken in ${takenMs.toFixed(0)} ms, daemon ${(share * 100).toFixed(1)} % of a CPU, ` +
          `RSS ${(after.rssKb / 1024).toFixed(0)} MiB, at risk at worst ${String(atRisk)}, ` +
          `released in ${(hostMs() - closeMs).toFixed(0)} ms\n`,
      );
    }
    expect(share).toBeLessThan(0.5);
    // Most of it is garbage that nobody was in a hurry to collect: a lease costs 1.5 KiB.
    expect(after.rssKb).toBeLessThan(500 * 1024);
    const left = await connect({ servers: [address] }).current("many/0/0");
    expect(left).toBeUndefined();
  },
);

/** What a process has used, by the kernel's own books. */
function usage(pid: number): { readonly cpuMs: number; readonly rssKb: number } {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  const rss = /VmRSS:\s+([0-9]+) kB/u.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"));
  return { cpuMs: ticks * 10, rssKb: Number(rss?.[1]) };
}
