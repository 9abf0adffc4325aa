import { describe, it } from "vitest";
import { clients } from "./clients.js";
import { Scene } from "./scene.js";
import { scenarios } from "./scenarios.js";

const WITHIN_MS = 90_000;

describe.each(clients)("a client in $name", ({ command, missing }) => {
  const test = missing === undefined ? it.concurrent : it.skip;
  for (const { name, play } of scenarios) {
    test(
      missing === undefined ? name : `${name} (skipped: ${missing})`,
      async () => {
        await using scene = await Scene.set(command);
        await play(scene);
      },
      WITHIN_MS,
    );
  }
});
