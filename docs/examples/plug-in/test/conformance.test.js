// The contract of the port, played on two clients of one journal. Run it with `npm test`.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { systemClock } from "stormlock";
import { conformance } from "stormlock/conformance";
import { backend } from "../index.js";

const folder = await mkdtemp(join(tmpdir(), "stormlock-journal-"));
after(() => rm(folder, { recursive: true, force: true }));

const settings = { path: join(folder, "locks.journal") };

conformance({
  runner: { describe, it },
  open: () => backend.open("journal", settings, { clock: systemClock }),
  // Leases that shall outlive a slow disk, and then end.
  shortTtlMs: 2000,
});
