import { beforeAll, describe, it } from "vitest";
import { isCi } from "../../test/support/ci.js";
import { clients } from "./clients.js";
import { Scene } from "./scene.js";
import { scenarios } from "./scenarios.js";

const WITHIN_MS = 90_000;
const PREPARED_WITHIN_MS = 600_000;
describe.each(clients)("a client in $name", ({ command, missing, prepare }) => {
  const test = missing === undefined || isCi ? it.concurrent : it.skip;
  beforeAll(() => (missing === undefined ? prepare?.() : undefined), PREPARED_WITHIN_MS);
  for (const { name, play } of scenarios) {
    test(
      missing === undefined ? name : `${name} (needs: ${missing})`,
      async () => {
        if (missing !== undefined) throw new Error(missing);
        await using scene = await Scene.set(command);
        await play(scene);
      },
      WITHIN_MS,
    );
  }
});
