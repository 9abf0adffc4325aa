/**
 * What every backend promises (the invariants B1-B9 of its port), as tests against a real store.
 * For the backends of this project, and for the authors of plug-ins.
 *
 * ```ts
 * import { describe, it } from "node:test";
 * conformance({ runner: { describe, it }, open: () => openMine("host:1234") });
 * ```
 */

import { grantStories } from "./conformance/grants.js";
import { batchStories } from "./conformance/batches.js";
import { handOverStories } from "./conformance/hand-overs.js";
import { listStories } from "./conformance/lists.js";
import { lifeStories } from "./conformance/life.js";
import { nameStories } from "./conformance/names.js";
import type { ConformanceOptions } from "./conformance/stage.js";

export type { ConformanceOptions, Runner } from "./conformance/stage.js";

/** Registers the suite with a test runner. */
export function conformance(options: ConformanceOptions): void {
  options.runner.describe("a backend", () => {
    grantStories(options);
    batchStories(options);
    handOverStories(options);
    listStories(options);
    nameStories(options);
    lifeStories(options);
  });
}
