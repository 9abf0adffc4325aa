import { request } from "node:https";
import * as grpc from "@grpc/grpc-js";
import { afterAll, describe, expect, it } from "vitest";
import { grpcTransport } from "../../src/rpc/grpc/channel.js";
import { identityOf } from "../../src/rpc/tls.js";
import { systemClock } from "../../src/system-clock.js";
import { Authority, type Pair } from "./support/certificates.js";
import { startDaemon } from "./support/daemon.js";
import { StockClient } from "./support/stock-client.js";

const { status } = grpc;
const authority = new Authority();
const stranger = new Authority();
const server = authority.issue("/CN=localhost", "DNS:localhost,IP:127.0.0.1");
const ann = authority.issue(
  "/CN=ann the operator",
  "email:ann@example.com,URI:spiffe://example/ann",
);
const bob = authority.issue("/CN=bob");
const tls = { ...server, clientCa: authority.cert };

afterAll(() => {
  authority[Symbol.dispose]();
  stranger[Symbol.dispose]();
});

function as(pair?: Pair): grpc.ChannelCredentials {
  return grpc.credentials.createSsl(authority.cert, pair?.key, pair?.cert);
}

describe("with client certificates", () => {
  it("the proven identity is the principal, whatever the request says", async () => {
    await using daemon = await startDaemon({ tls });
    await using client = new StockClient(daemon.address, as(ann));
    const taken = await client.call("acquire", { resource: "x", principal: "the king" });
    expect(taken.message["lease"]).toMatchObject({ principal: "spiffe://example/ann" });
    await using other = new StockClient(daemon.address, as(bob));
    expect(await other.call("acquire", { resource: "x" })).toMatchObject({
      code: status.ALREADY_EXISTS,
      holder: "spiffe://example/ann",
    });
  });

  it("Current shows the lease id to its holder alone", async () => {
    await using daemon = await startDaemon({ tls });
    await using client = new StockClient(daemon.address, as(ann));
    await client.call("acquire", { resource: "x", lease_id: "mine" });
    expect((await client.call("current", { resource: "x" })).message["lease"]).toMatchObject({
      lease_id: "mine",
    });
    await using other = new StockClient(daemon.address, as(bob));
    expect((await other.call("current", { resource: "x" })).message["lease"]).toMatchObject({
      lease_id: "",
      principal: "spiffe://example/ann",
    });
  });

  it("nobody gets in without one, with a stranger's, or in plaintext", async () => {
    await using daemon = await startDaemon({ tls });
    const foreign = stranger.issue("/CN=ann");
    for (const credentials of [as(), as(foreign), grpc.credentials.createInsecure()]) {
      await using client = new StockClient(daemon.address, credentials);
      expect(await client.call("current", { resource: "x" })).toMatchObject({
        code: status.UNAVAILABLE,
      });
    }
    await using client = new StockClient(daemon.address, as(ann));
    expect(await client.call("current", { resource: "x" })).toMatchObject({ code: status.OK });
  });

  it("a certificate that names nobody opens nothing", async () => {
    await using daemon = await startDaemon({ tls });
    const nameless = authority.issue("/O=somebody");
    await using client = new StockClient(daemon.address, as(nameless));
    expect(await client.call("current", { resource: "x" })).toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect(daemon.log.join("")).toContain("names nobody");
  });

  it("our own client brings its certificate, and an address for all to reach is allowed", async () => {
    await using daemon = await startDaemon({ tls, listen: ["0.0.0.0:0"] });
    const address = `localhost:${String(daemon.port)}`;
    const own = { ...bob, ca: authority.cert };
    await using transport = grpcTransport({ address, tls: own, clock: systemClock });
    const { lease } = await transport.unary("acquire", { resource: "x" }, {});
    expect(lease?.principal).toBe("bob");
  });

  it("the web door on its own address asks for them too", async () => {
    await using daemon = await startDaemon({ tls, http: ["127.0.0.1:0"] });
    const port = Number(daemon.server.httpAddresses[0]?.split(":")[1]);
    const acquire = (pair?: Pair): Promise<string> =>
      new Promise((resolve, reject) => {
        const asked = request(
          {
            port,
            host: "localhost",
            family: 4,
            method: "POST",
            path: "/stormlock.v1.LockService/Acquire",
            headers: { "content-type": "application/json" },
            ca: authority.cert,
            agent: false,
            ...pair,
          },
          (response) => {
            let text = "";
            response.on("data", (chunk: Buffer) => (text += chunk.toString()));
            response.on("end", () => {
              resolve(text);
            });
          },
        );
        asked.on("error", reject);
        asked.end('{"resource":"x","principal":"the king"}');
      });
    expect(JSON.parse(await acquire(bob))).toMatchObject({ lease: { principal: "bob" } });
    await expect(acquire()).rejects.toThrow();
  });
});

describe("without client certificates", () => {
  it("TLS alone keeps the principal that was said", async () => {
    await using daemon = await startDaemon({ tls: server });
    await using client = new StockClient(daemon.address, as());
    const taken = await client.call("acquire", { resource: "x", principal: "ann" });
    expect(taken.message["lease"]).toMatchObject({ principal: "ann" });
  });

  it("key and certificate that do not belong together are refused", async () => {
    const mixed = { cert: server.cert, key: bob.key };
    await expect(startDaemon({ tls: mixed })).rejects.toMatchObject({
      kind: "invalid-field",
      field: "tls",
    });
    const broken = { cert: Buffer.from("no PEM"), key: server.key };
    await expect(startDaemon({ tls: broken })).rejects.toMatchObject({ field: "tls" });
  });
});

describe("whose certificate it is", () => {
  const named = (subjectaltname: string | undefined, subject?: object): string | undefined =>
    identityOf({ subjectaltname, subject } as never);

  it("is a URI before a DNS name before an e-mail address before the common name", () => {
    expect(named("email:a@x, DNS:a.x, URI:spiffe://x/a", { CN: "a" })).toBe("spiffe://x/a");
    expect(named("email:a@x, DNS:a.x", { CN: "a" })).toBe("a.x");
    expect(named("IP Address:127.0.0.1, email:a@x", { CN: "a" })).toBe("a@x");
    expect(named(undefined, { CN: "a" })).toBe("a");
  });

  it("cannot be forged by a name with a comma in it", () => {
    expect(named('DNS:"evil.x, URI:spiffe://x/root"', {})).toBe("evil.x, URI:spiffe://x/root");
  });

  it("is nobody's when it is ambiguous, empty or cannot be read to its end", () => {
    expect(named(undefined, { CN: ["a", "b"] })).toBeUndefined();
    expect(named(undefined, {})).toBeUndefined();
    expect(named(undefined)).toBeUndefined();
    expect(named('URI:spiffe://x/a, DNS:"half', {})).toBeUndefined();
  });
});
