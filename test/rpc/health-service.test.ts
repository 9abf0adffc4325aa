import * as grpc from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startDaemon, type Daemon } from "./support/daemon.js";
import { bytesInUse, MIB } from "./support/memory-use.js";

const { status } = grpc;

interface Status {
  readonly status: string;
}

interface HealthClient extends grpc.Client {
  check(
    request: { readonly service: string },
    answered: (error: grpc.ServiceError | null, answer?: Status) => void,
  ): void;
  watch(request: { readonly service: string }): grpc.ClientReadableStream<Status>;
}

let daemon: Daemon;
let health: HealthClient;

function connect(): HealthClient {
  const Health = grpc.makeGenericClientConstructor(healthService, "Health");
  const credentials = grpc.credentials.createInsecure();
  const options = { "grpc.enable_http_proxy": 0, "grpc.use_local_subchannel_pool": 1 };
  return new Health(daemon.address, credentials, options) as unknown as HealthClient;
}

beforeEach(async () => {
  daemon = await startDaemon();
  health = connect();
});
afterEach(async () => {
  health.close();
  await daemon[Symbol.asyncDispose]();
});

function watch(service: string): { readonly first: Promise<string>; readonly leave: () => void } {
  const stream = health.watch({ service });
  stream.on("error", () => undefined);
  const first = new Promise<string>((resolve) => {
    stream.once("data", (answer: Status) => {
      resolve(answer.status);
    });
  });
  return {
    first,
    leave: () => {
      stream.cancel();
    },
  };
}

it("a service that is not here is UNKNOWN to those who watch, for as long as they like", async () => {
  const watching = watch("somebody.else.v1.Service");
  expect(await watching.first).toBe("SERVICE_UNKNOWN");
  expect(await watch("stormlock.v1.LockService").first).toBe("SERVING");
  watching.leave();
});

it("a service that is not here is NOT_FOUND to those who ask, and its name is not repeated at length", async () => {
  const error = await new Promise<grpc.ServiceError | null>((resolve) => {
    health.check({ service: "x".repeat(60_000) }, resolve);
  });
  expect(error).toMatchObject({ code: status.NOT_FOUND });
  expect(error?.details.length).toBeLessThan(300);
  await expect.poll(() => daemon.log.some((line) => line.includes("Health/Check"))).toBe(true);
  expect(Math.max(...daemon.log.map((line) => line.length))).toBeLessThan(1000);
});

it("nothing is kept of names that were watched, however many they were", async () => {
  // On new connections: Node cuts one that resets a thousand streams in a row.
  const round = async (from: number, count: number): Promise<void> => {
    for (let at = from; at < from + count; at += 10) {
      if (at % 500 === 0) {
        health.close();
        health = connect();
      }
      const all = Array.from({ length: 10 }, (_, index) =>
        watch(`${String(at + index)}/${"n".repeat(10_000)}`),
      );
      await Promise.all(all.map(({ first }) => first));
      for (const { leave } of all) leave();
    }
    daemon.log.length = 0;
  };
  await round(0, 500);
  const before = await bytesInUse();
  await round(10_000, 2000);
  expect(await bytesInUse()).toBeLessThan(before + 8 * MIB);
}, 30_000);
