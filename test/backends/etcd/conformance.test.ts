import { afterAll, beforeAll, describe, it } from "vitest";
import { conformance } from "../../../src/conformance.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { missing, open } from "./stage.js";

describe.skipIf(missing !== undefined)("etcd, one member", () => {
  let server: EtcdServer;

  beforeAll(async () => {
    server = await EtcdServer.start();
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  conformance({ runner: { describe, it }, open: () => open(server.address) });
});
