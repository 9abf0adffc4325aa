import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import {
  CreateTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  UpdateTimeToLiveCommand,
  type CreateTableCommandInput,
} from "@aws-sdk/client-dynamodb";
import { expect, it } from "vitest";
import {
  createTable,
  tableDefinition,
  type DynamodbSettings,
} from "../../../src/backends/dynamodb/backend.js";
import { LockError } from "../../../src/lock/errors.js";
import { systemClock } from "../../../src/system-clock.js";
import { freePort } from "../../support/free-port.js";
import { failure } from "./http-proxy.js";
import { ask, client, spoiltClient, take, withDynamodb, type Stage } from "./stage.js";

const clock = systemClock;
const SECRET = "not-much-of-a-secret";

// What check says, which the calls say too.
async function complaint(settings: DynamodbSettings): Promise<string> {
  await using backend = await client({ timeout: "1s", ...settings });
  const thrown = await backend.check().then(
    () => "nothing",
    (error: unknown) => error,
  );
  if (!(thrown instanceof LockError)) return String(thrown);
  expect(thrown.kind).toBe("unavailable");
  expect(thrown.message).not.toContain("\n");
  expect(thrown.message + String(thrown.cause)).not.toContain(SECRET);
  await expect(backend.acquire([ask("x")])).rejects.toMatchObject({ kind: "unavailable" });
  return thrown.message;
}

async function make(
  { settings }: Stage,
  definition: Partial<CreateTableCommandInput> & { readonly TableName: string },
  ttlAttribute?: string,
): Promise<DynamodbSettings> {
  const { endpoint = "" } = settings;
  const credentials = { accessKeyId: "stormlock", secretAccessKey: SECRET };
  const sdk = new DynamoDBClient({ endpoint, region: "eu-west-1", credentials });
  const { TableName } = definition;
  await sdk.send(new CreateTableCommand({ ...tableDefinition(TableName), ...definition }));
  if (ttlAttribute !== undefined) {
    const TimeToLiveSpecification = { AttributeName: ttlAttribute, Enabled: true };
    await sdk.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }));
  }
  return { ...settings, table: TableName };
}

await withDynamodb("dynamodb, and the tables it accepts", (stage) => {
  it("a missing table is named, with what makes it, and is used as soon as it is there", async () => {
    const settings = { ...stage.settings, table: "made-later" };
    await using backend = await client(settings);
    const message = expect.stringMatching(
      /^there is no table made-later \(DynamoDB, http:\S+\): create it with "stormlock backend setup"/u,
    ) as string;
    await expect(backend.check()).rejects.toMatchObject({ kind: "unavailable", message });
    await expect(backend.acquire([ask("a")])).rejects.toMatchObject({ message });
    await createTable(settings, { clock });
    await backend.check();
    await take(backend, "a");
  });

  it("a table is made once, however many make it, and paid per request", async () => {
    const settings = { ...stage.settings, table: "made.once" };
    const made = await Promise.all([1, 2, 3].map(() => createTable(settings, { clock })));
    expect(made.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(await createTable(settings, { clock })).toEqual({ isNew: false });
    const { endpoint = "" } = settings;
    const credentials = { accessKeyId: "stormlock", secretAccessKey: SECRET };
    const sdk = new DynamoDBClient({ endpoint, region: "eu-west-1", credentials });
    const { Table: table } = await sdk.send(new DescribeTableCommand({ TableName: "made.once" }));
    expect(table?.BillingModeSummary?.BillingMode).toBe("PAY_PER_REQUEST");
    expect(await complaint(settings)).toBe("nothing");
  });

  it("a table with another key is refused by name, and never made over", async () => {
    const settings = await make(stage, {
      TableName: "of-others",
      AttributeDefinitions: [{ AttributeName: "key", AttributeType: "S" }],
      KeySchema: [{ AttributeName: "key", KeyType: "HASH" }],
    });
    const words = /^the table of-others .* has the key key \(S, HASH\), not resource \(S, HASH\)/u;
    expect(await complaint(settings)).toMatch(words);
    await expect(createTable(settings, { clock })).rejects.toThrow(words);
    const sorted = await make(stage, {
      TableName: "sorted",
      AttributeDefinitions: [
        { AttributeName: "resource", AttributeType: "S" },
        { AttributeName: "at", AttributeType: "N" },
      ],
      KeySchema: [
        { AttributeName: "resource", KeyType: "HASH" },
        { AttributeName: "at", KeyType: "RANGE" },
      ],
    });
    expect(await complaint(sorted)).toMatch(/has the key resource \(S, HASH\), at \(N, RANGE\)/u);
  });

  it("a table that deletes by the end of leases, as the older tool's, is refused by name", async () => {
    const settings = await make(stage, { TableName: "by-expiry" }, "expiry_time");
    const words =
      /^the table by-expiry .* has the TTL attribute expiry_time, .* make it prune_after/u;
    expect(await complaint(settings)).toMatch(words);
    await expect(createTable(settings, { clock })).rejects.toThrow(words);
  });

  it("a table without pruning is used as it is", async () => {
    expect(await complaint(await make(stage, { TableName: "unpruned" }))).toBe("nothing");
  });

  it("a global table is refused, unless its regions are strongly consistent", async () => {
    const cases = [
      [{ Replicas: [{ RegionName: "us-east-1" }] }, "refused"],
      [{ Replicas: [{ RegionName: "us-east-1" }], MultiRegionConsistency: "EVENTUAL" }, "refused"],
      [{ GlobalTableVersion: "2017.11.29" }, "refused"],
      [{ Replicas: [{ RegionName: "us-east-1" }], MultiRegionConsistency: "STRONG" }, "taken"],
    ] as const;
    for (const [more, outcome] of cases) {
      await using spoilt = await spoiltClient(stage);
      spoilt.proxy.fate = ({ operation }) =>
        operation === "DescribeTable"
          ? {
              change: ({ status, body }) => ({
                status,
                body: { Table: { ...(body["Table"] as object), ...more } },
              }),
            }
          : undefined;
      const checked = spoilt.backend.check();
      if (outcome === "taken") await checked;
      else await expect(checked).rejects.toThrow(/is a global table of eventual consistency/u);
    }
  });

  it("a table that is being made is waited for by those who ask again", async () => {
    await using spoilt = await spoiltClient(stage);
    spoilt.proxy.fate = ({ operation, index }) =>
      operation === "DescribeTable" && index === 0
        ? {
            change: ({ status, body }) => ({
              status,
              body: { Table: { ...(body["Table"] as object), TableStatus: "CREATING" } },
            }),
          }
        : undefined;
    await expect(spoilt.backend.check()).rejects.toThrow(/its status being CREATING/u);
    await spoilt.backend.check();
  });
});

await withDynamodb("dynamodb, and what stands between it and us", (stage) => {
  it("a server that cannot be reached is named", async () => {
    const endpoint = `http://127.0.0.1:${String(await freePort())}`;
    const startedMs = performance.now();
    expect(await complaint({ ...stage.settings, endpoint })).toBe(
      `stormlock_leases (DynamoDB, ${endpoint}) cannot be reached (ECONNREFUSED): check the endpoint or region and the network, and that the server runs`,
    );
    expect(performance.now() - startedMs).toBeLessThan(4000);
  });

  it("a server that is no DynamoDB is told as such", async () => {
    const server = createServer((_request, response) => response.writeHead(404).end("<html>"));
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    const { port } = server.address() as AddressInfo;
    const endpoint = `http://127.0.0.1:${String(port)}`;
    expect(await complaint({ ...stage.settings, endpoint })).toMatch(
      /failed with status 404 .* check that the endpoint is a DynamoDB$/u,
    );
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });

  it("credentials that the server refuses are told as such", async () => {
    expect(await complaint({ ...stage.settings, access_key_id: "no-such-key" })).toMatch(
      /^stormlock_leases .* refuses the credentials \(UnrecognizedClientException\): check access_key_id/u,
    );
  });

  it("a right that is missing is named", async () => {
    await using spoilt = await spoiltClient(stage);
    await spoilt.backend.check();
    spoilt.proxy.fate = ({ operation }) =>
      operation === "PutItem"
        ? failure(
            400,
            "AccessDeniedException",
            "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: dynamodb:PutItem on resource: x",
          )
        : undefined;
    const [answer] = await spoilt.backend.acquire([ask("denied")]);
    expect(answer).toMatchObject({ kind: "failed" });
    if (answer?.kind === "failed") {
      expect(answer.error.message).toMatch(/does not allow dynamodb:PutItem to these credentials/u);
    }
    expect(spoilt.proxy.count("PutItem")).toBe(1);
  });

  it("credentials and a region that are nowhere to be found are told as such", async () => {
    const before = { ...process.env };
    for (const name of Object.keys(process.env)) {
      if (name.startsWith("AWS_")) Reflect.deleteProperty(process.env, name);
    }
    process.env["AWS_EC2_METADATA_DISABLED"] = "true";
    process.env["AWS_CONFIG_FILE"] = process.env["AWS_SHARED_CREDENTIALS_FILE"] = "/dev/null";
    try {
      const { endpoint } = stage.settings;
      expect(await complaint({ endpoint, region: "eu-west-1" })).toMatch(
        /^no AWS credentials were/u,
      );
      const known = { access_key_id: "stormlock", secret_access_key: SECRET };
      expect(await complaint({ endpoint, ...known })).toMatch(
        /^no region is known for stormlock_leases/u,
      );
      expect(await complaint({ profile: "nobody", region: "eu-west-1", endpoint })).toMatch(
        /^no AWS credentials were found/u,
      );
    } finally {
      process.env = before;
    }
  });
});
