import { getEventListeners } from "node:events";
import { createServer } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { LockError } from "../../src/lock/errors.js";
import { grpcTransport } from "../../src/rpc/grpc/channel.js";
import type { UnaryTransport } from "../../src/rpc/transport.js";
import { systemClock } from "../../src/system-clock.js";
import { MemoryStore } from "../support/memory-backend.js";
import { startDaemon } from "./support/daemon.js";
import { quickly } from "./support/quickly.js";

function overGrpc(address: string): UnaryTransport {
  return grpcTransport({ address, clock: systemClock });
}

async function refusal(call: Promise<unknown>): Promise<LockError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(LockError);
  return error as LockError;
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe.each([
  ["over gRPC", overGrpc],
  ["quickly", quickly],
])("the way to one daemon, %s,", (_, to) => {
  it("carries questions and answers, and errors with the holder", async () => {
    await using daemon = await startDaemon();
    await using transport = to(daemon.address);
    const { lease } = await transport.unary("acquire", { resource: "x", principal: "ann" }, {});
    expect(lease?.principal).toBe("ann");

    const held = await refusal(transport.unary("acquire", { resource: "x" }, {}));
    expect(held).toMatchObject({
      kind: "lock-held",
      isDefinite: true,
      holder: { principal: "ann" },
    });
    expect(held.message).toMatch(/^x is held by ann since/u);
    const wrong = await refusal(transport.unary("acquire", { resource: "" }, {}));
    expect(wrong).toMatchObject({ kind: "invalid-field", field: "resource", isDefinite: true });
  });

  it("carries a list with what cannot be read on it", async () => {
    const store = new MemoryStore(systemClock).open();
    const list = store.list.bind(store);
    const error = new LockError("unavailable", "x is not ours");
    store.list = async (ask) => [...(await list(ask)), { kind: "failed", resource: "x", error }];
    await using daemon = await startDaemon({}, store);
    await using transport = to(daemon.address);
    await transport.unary("acquire", { resource: "a", principal: "ann" }, {});
    const { leases, unreadable } = await transport.unary("list", {}, {});
    expect(leases).toMatchObject([{ resource: "a", principal: "ann" }]);
    expect(unreadable).toMatchObject([{ resource: "x", message: "x is not ours" }]);
  });

  it("takes one signal for many calls, which Node does not take for a leak", async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): void => {
      warnings.push(warning);
    };
    process.on("warning", note);
    try {
      await using daemon = await startDaemon();
      await using transport = to(daemon.address);
      const { signal } = new AbortController();
      await Promise.all(
        Array.from({ length: 12 }, (_, at) =>
          transport.unary("acquire", { resource: `r${String(at)}` }, { signal }),
        ),
      );
      expect(getEventListeners(signal, "abort")).toEqual([]);
    } finally {
      process.off("warning", note);
    }
    expect(warnings).toEqual([]);
  });

  it("says at once that nobody is there", async () => {
    const address = "127.0.0.1:1";
    await using transport = to(address);
    const startedAt = performance.now();
    const error = await refusal(
      transport.unary("current", { resource: "x" }, { timeoutMs: 10_000 }),
    );
    expect(error).toMatchObject({ kind: "unreachable" });
    expect(error.message).toMatch(/127\.0\.0\.1:1 .*ECONNREFUSED/u);
    expect(performance.now() - startedAt).toBeLessThan(1000);
  });

  it("finds a daemon that has come back within a second or two", async () => {
    const first = await startDaemon();
    const { address } = first;
    await using transport = to(address);
    await transport.unary("current", { resource: "x" }, {});
    await first[Symbol.asyncDispose]();
    await refusal(transport.unary("current", { resource: "x" }, {}));
    await using second = await startDaemon({ listen: [address] });
    expect(second.address).toBe(address);
    const isBack = (): Promise<boolean> =>
      transport.unary("current", { resource: "x" }, {}).then(
        () => true,
        () => false,
      );
    await expect.poll(isBack, { timeout: 2500 }).toBe(true);
  });

  it("keeps its time, and leaves the line when it is over", async () => {
    await using daemon = await startDaemon();
    await using transport = to(daemon.address);
    await transport.unary("acquire", { resource: "x" }, {});
    const wait = { seconds: 60n, nanos: 0 };
    const late = await refusal(
      transport.unary("acquire", { resource: "x", wait }, { timeoutMs: 200 }),
    );
    expect(late).toMatchObject({ kind: "timed-out", isDefinite: false });
    expect(late.message).toBe(`${daemon.address} has not answered within 200 ms`);
    await expect.poll(() => daemon.locks.waiters).toBe(0);
  });

  it("is called off by a signal, before and after it has been sent", async () => {
    await using daemon = await startDaemon();
    await using transport = to(daemon.address);
    await transport.unary("acquire", { resource: "x" }, {});
    const leave = new AbortController();
    const wait = { seconds: 60n, nanos: 0 };
    const waiting = refusal(
      transport.unary("acquire", { resource: "x", wait }, { signal: leave.signal }),
    );
    await expect.poll(() => daemon.locks.waiters).toBe(1);
    leave.abort();
    expect(await waiting).toMatchObject({ kind: "cancelled" });
    await expect.poll(() => daemon.locks.waiters).toBe(0);
    const never = transport.unary("release", { resource: "x" }, { signal: leave.signal });
    expect(await refusal(never)).toMatchObject({ kind: "cancelled" });
  });

  it("ends its calls when it is closed", async () => {
    await using daemon = await startDaemon();
    const transport = to(daemon.address);
    await transport.unary("acquire", { resource: "x" }, {});
    const wait = { seconds: 60n, nanos: 0 };
    const waiting = refusal(transport.unary("acquire", { resource: "x", wait }, {}));
    await expect.poll(() => daemon.locks.waiters).toBe(1);
    await transport[Symbol.asyncDispose]();
    expect((await waiting).isDefinite).toBe(false);
    await expect.poll(() => daemon.locks.waiters).toBe(0);
  });

  it("does not send what is too large", async () => {
    await using daemon = await startDaemon();
    await using transport = to(daemon.address);
    const large = transport.unary("acquire", { resource: "a".repeat(70_000) }, {});
    expect(await refusal(large)).toMatchObject({ kind: "invalid-field", isDefinite: true });
  });

  it("goes straight to this machine, whatever http_proxy says", async () => {
    const proxy = createServer((socket) => socket.destroy());
    const port = await new Promise<number>((resolve) => {
      proxy.listen(0, "127.0.0.1", () => {
        resolve((proxy.address() as { port: number }).port);
      });
    });
    vi.stubEnv("http_proxy", `http://127.0.0.1:${String(port)}`);
    vi.stubEnv("grpc_proxy", `http://127.0.0.1:${String(port)}`);
    await using daemon = await startDaemon();
    await using transport = to(daemon.address);
    await expect(transport.unary("current", { resource: "x" }, {})).resolves.toMatchObject({});
    proxy.close();
  });
});

it("an address that is none is refused", () => {
  expect(() => overGrpc("http://127.0.0.1:7420")).toThrow(/is no address: expected no scheme/u);
});
