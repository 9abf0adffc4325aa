import { afterAll, beforeAll, describe, it } from "vitest";
import { conformance } from "../../../src/conformance.js";
import { describeWithPostgresql } from "../../support/servers/postgresql.js";
import { Stage } from "./stage.js";

describeWithPostgresql("postgresql, two clients with a role of few rights", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.start();
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
  });

  conformance({
    runner: { describe, it },
    operations: ["handOver", "watch"],
    open: () => stage.open(),
  });
});
