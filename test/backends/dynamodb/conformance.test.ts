import { describe, it } from "vitest";
import { conformance } from "../../../src/conformance.js";
import { client, withDynamodb } from "./stage.js";

await withDynamodb("dynamodb", (stage) => {
  conformance({
    runner: { describe, it },
    // The local server is slow: a batch of 1000 takes it seconds when the machine is busy.
    open: () => client({ ...stage.settings, timeout: "30s" }),
  });
});
