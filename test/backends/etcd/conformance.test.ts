import { afterAll, beforeAll, describe, it } from "vitest";
import { conformance } from "../../../src/conformance.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { missing, open as openStore } from "./stage.js";

describe.skipIf(missing !== undefined)("etcd, one member", () => {
  let server: EtcdServer;

  beforeAll(async () => {
    server = await EtcdServer.start();
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  conformance({ runner: { describe, it }, open });

  // Generous, since a thousand etcd leases are granted at once, on whatever machine this is.
  function open(): ReturnType<typeof openStore> {
    return openStore(server.address, { timeout: "20s" });
  }
});
