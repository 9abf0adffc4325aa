// A process of its own, so that nothing that the harness does makes it look away: looks every
// 5 ms whether the processes live whose files of stamps appear in the folder.

import { readdirSync } from "node:fs";
import { isAlive, ProcessTable } from "../cmd/stormlock/hold/process-table.js";
import { hostMs } from "./host.js";
import type { Sighting } from "./life.js";

const EVERY_MS = 5;

const [, , folder = ""] = process.argv;
const table = new ProcessTable();
const living = new Map<string, Sighting>();
const dead = new Map<string, Sighting>();

function look(): void {
  for (const file of readdirSync(folder)) {
    if (dead.has(file)) continue;
    const pid = Number(file.slice(file.lastIndexOf(".") + 1));
    const beforeMs = hostMs();
    const stat = table.stat(pid);
    const known = living.get(file);
    const isSame = known === undefined || stat?.startTicks === known.startTicks;
    if (stat !== undefined && isSame && isAlive(stat)) {
      living.set(file, { file, pid, startTicks: stat.startTicks, lastAliveMs: beforeMs });
    } else {
      const never = {
        file,
        pid,
        startTicks: stat?.startTicks ?? Number.MAX_SAFE_INTEGER,
        lastAliveMs: 0,
      };
      living.delete(file);
      dead.set(file, { ...(known ?? never), goneMs: hostMs() });
    }
  }
}

setInterval(look, EVERY_MS);
process.on("message", () => {
  look();
  process.send?.([...living.values(), ...dead.values()]);
});
process.on("disconnect", () => {
  process.exit(0);
});
