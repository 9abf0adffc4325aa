import { afterAll, beforeAll, describe, it } from "vitest";
import { conformance } from "../../../src/conformance.js";
import { describeWithPostgresql } from "../../support/servers/postgresql.js";
import { keySql, Stage } from "./stage.js";

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
    // Its columns are those of a lease: what is in them need not be.
    spoil: async (resource) => {
      const is = `resource = ${keySql(resource)}`;
      const values = `${keySql(resource)}, 'x', 'somebody', 1, 1, 1::bigint << 62, 1, 1, 1, ''`;
      await stage.server.run(
        `DELETE FROM stormlock_leases WHERE ${is}`,
        `INSERT INTO stormlock_leases VALUES (${values}, 'of another program')`,
      );
      return async () => {
        await stage.server.run(`DELETE FROM stormlock_leases WHERE ${is}`);
      };
    },
  });
});
