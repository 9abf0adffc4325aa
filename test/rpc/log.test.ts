import { expect, it } from "vitest";
import { LockError } from "../../src/lock/errors.js";
import { startDaemon } from "./support/daemon.js";
import { StockClient } from "./support/stock-client.js";

const ID = "5ec2e7f00d5ec2e7f00d5ec2e7f00d55";

interface Line {
  readonly level: string;
  readonly msg: string;
  readonly method?: string;
  readonly code?: string;
  readonly resource?: string;
  readonly peer?: string;
  readonly ms?: number;
}

it("no lease id stands in any line, whatever happens to a lease", async () => {
  const daemon = await startDaemon();
  await using client = new StockClient(daemon.address);
  const name = { resource: "deploy/prod", lease_id: ID };
  const post = (method: string, message: object): Promise<Response> =>
    fetch(`http://${daemon.address}/stormlock.v1.LockService/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(message),
    });

  await client.call("acquire", name);
  await client.call("acquire", { resource: "deploy/prod", principal: "bob" });
  await client.call("renew", { ...name, ttl: { seconds: -1 } });
  await client.call("isHeld", name);
  await client.call("current", name);
  await client.call("acquire", { resource: "y", lease_id: `${ID}\n` });
  await client.call("acquire", { resource: `${ID} `, lease_id: ID }); // mixed up
  await client.call("acquire", { resource: "x", lease_id: ID.repeat(9) });
  for (const method of ["acquire", "renew", "release", "isHeld", "current"]) {
    await client.call(method, { resource: ID, lease_id: "deploy/prod" }); // swapped
  }
  await post("Renew", { resource: "deploy/prod", leaseId: ID });
  await post("Renew", { resource: "other", leaseId: ID });
  const release = daemon.locks.release.bind(daemon.locks);
  const renew = daemon.locks.renew.bind(daemon.locks);
  daemon.locks.release = () => Promise.reject(new Error(`duplicate key (${ID})`));
  daemon.locks.renew = () => Promise.reject(new LockError("unavailable", `no answer about ${ID}`));
  await client.call("release", name);
  await client.call("renew", name);
  await post("Release", { resource: "deploy/prod", leaseId: ID });
  Object.assign(daemon.locks, { release, renew });
  await client.call("release", name);
  await client.call("renew", name);
  await daemon[Symbol.asyncDispose]();

  const lines = daemon.log.map((line) => JSON.parse(line) as Line);
  expect(lines.length).toBeGreaterThan(15);
  expect(daemon.log.filter((line) => line.includes(ID))).toEqual([]);
  const method = "/stormlock.v1.LockService/Acquire";
  const held = lines.find(({ code }) => code === "ALREADY_EXISTS");
  expect(held).toMatchObject({
    level: "info",
    method,
    resource: "deploy/prod",
    msg: "call refused",
  });
  expect(held?.peer).toMatch(/^127\.0\.0\.1:[0-9]+$/u);
  expect(held?.ms).toBeGreaterThanOrEqual(0);
  expect(lines.find(({ code }) => code === "UNAVAILABLE")).toMatchObject({ level: "warn" });
  expect(lines.find(({ code }) => code === "OK")).toMatchObject({ level: "debug" });
});
