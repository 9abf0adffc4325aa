import type { Etcd3 } from "etcd3";
import { afterAll, beforeAll, describe, it } from "vitest";
import { conformance } from "../../../src/conformance.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { missing, open } from "./stage.js";
import { LOGIN, withUsers } from "./users.js";

// With the fewest rights that will do. The other tests here have no users.
describe.skipIf(missing !== undefined)("etcd, a role on one prefix", () => {
  let server: EtcdServer;
  let admin: Etcd3;

  beforeAll(async () => {
    server = await EtcdServer.start();
    admin = await withUsers(server);
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  conformance({
    runner: { describe, it },
    operations: ["watch"],
    // Generous: a thousand etcd leases are granted at once, on whatever machine this is.
    open: () => open(server.address, { ...LOGIN, timeout: "20s" }),
    spoil: async (resource) => {
      const key = `stormlock/held/${resource}`;
      await admin.put(key).value("of another program");
      return async () => {
        await admin.delete().key(key);
      };
    },
  });
});
