// What the tests of DynamoDB share.

import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe } from "vitest";
import {
  createTable,
  openDynamodb,
  type DynamodbSettings,
} from "../../../src/backends/dynamodb/backend.js";
import type { AcquireAsk, Backend } from "../../../src/lock/backend.js";
import type { Clock } from "../../../src/lock/clock.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { newLeaseId, type Lease } from "../../../src/lock/lease.js";
import { systemClock } from "../../../src/system-clock.js";
import { DynamodbServer, missingDynamodb } from "../../support/servers/dynamodb.js";
import { HttpProxy } from "./http-proxy.js";

/** A server with a table, shared by the tests of a file. */
export interface Stage {
  readonly server: DynamodbServer;
  /** For the table, past any proxy. */
  readonly settings: DynamodbSettings;
}

/** Tests that need a server; where there is none they are skipped, and say why. */
export async function withDynamodb(title: string, tests: (stage: Stage) => void): Promise<void> {
  const missing = await missingDynamodb();
  const shown = missing === undefined ? title : `${title} (skipped: ${missing})`;
  describe.skipIf(missing !== undefined)(shown, () => {
    let server: DynamodbServer | undefined;
    const started = (): DynamodbServer => {
      if (server === undefined) throw new Error("the server has not been started yet");
      return server;
    };
    beforeAll(async () => {
      server = await DynamodbServer.start();
      await createTable(settingsFor(server.endpoint), { clock: systemClock });
    });
    afterAll(async () => {
      await server?.[Symbol.asyncDispose]();
    });
    tests({
      get server() {
        return started();
      },
      get settings() {
        return settingsFor(started().endpoint);
      },
    });
  });
}

/** A client that reaches its server through a proxy. */
export interface SpoiltClient extends AsyncDisposable {
  readonly backend: Backend;
  readonly proxy: HttpProxy;
}

export async function spoiltClient(
  { server }: Stage,
  more: DynamodbSettings = {},
  clock: Clock = systemClock,
): Promise<SpoiltClient> {
  const proxy = await HttpProxy.open(server.endpoint);
  const backend = await client(settingsFor(proxy.endpoint, more), clock);
  return {
    ...{ backend, proxy },
    async [Symbol.asyncDispose]() {
      await backend[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

/** The local server takes any key, but keeps the tables of each to itself. */
export function settingsFor(endpoint: string, more: DynamodbSettings = {}): DynamodbSettings {
  return {
    ...{ endpoint, region: "eu-west-1" },
    ...{ access_key_id: "stormlock", secret_access_key: "not-much-of-a-secret" },
    ...more,
  };
}

/** The table past our own code. */
export function bare({ endpoint = "" }: DynamodbSettings): DynamoDBClient {
  const credentials = { accessKeyId: "stormlock", secretAccessKey: "not-much-of-a-secret" };
  return new DynamoDBClient({ endpoint, region: "eu-west-1", credentials });
}

export function client(settings: DynamodbSettings, clock: Clock = systemClock): Promise<Backend> {
  return openDynamodb(settings, { clock });
}

/** The real clock, but for the wall's, which is as far off as is said. */
export class WrongClock implements Clock {
  aheadMs: number;

  constructor(aheadMs = 0) {
    this.aheadMs = aheadMs;
  }

  wallMs(): number {
    return systemClock.wallMs() + this.aheadMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  after(delayMs: number, wake: () => void): () => void {
    return systemClock.after(delayMs, wake);
  }

  endOfTurn(work: () => void): void {
    systemClock.endOfTurn(work);
  }
}

export function ask(resource: string, more: Partial<AcquireAsk> = {}): AcquireAsk {
  return {
    ...{ resource, leaseId: newLeaseId(), principal: "ann", ttlMs: 10_000, reason: "" },
    ...{ labels: {}, ...more },
  };
}

/** Takes one resource that is free. */
export async function take(
  backend: Backend,
  resource: string,
  more: Partial<AcquireAsk> = {},
): Promise<Lease> {
  const [answer] = await backend.acquire([ask(resource, more)]);
  if (answer?.kind === "failed") throw answer.error;
  if (answer?.kind !== "granted") throw new Error(`${resource} is ${String(answer?.kind)}`);
  return answer.lease;
}

export async function holder(backend: Backend, resource: string): Promise<Lease | undefined> {
  return leaseIn((await backend.current([resource]))[0]);
}
