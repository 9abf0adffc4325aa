import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeWithPostgresql } from "../../support/servers/postgresql.js";
import { ask, Stage, take } from "./stage.js";

describeWithPostgresql("postgresql, hints", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.start();
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
  });

  async function listening(): Promise<{
    readonly heard: (string | undefined)[];
    readonly [Symbol.asyncDispose]: () => PromiseLike<void>;
  }> {
    const backend = await stage.open();
    const heard: (string | undefined)[] = [];
    backend.watch?.((resource) => heard.push(resource));
    // It tells once of everything, when it begins to hear.
    await expect.poll(() => heard, { timeout: 5000 }).toEqual([undefined]);
    heard.length = 0;
    return { heard, [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose]() };
  }

  it("tell names as they are, of any characters and 200 bytes", async () => {
    await using listener = await listening();
    await using other = await stage.open();
    const names = ["a b", "\0", "é'\"\\", "😀".repeat(50), "x".repeat(200)];
    const asks = names.map((name) => ask(name));
    await other.acquire(asks);
    await other.release(asks);
    await expect.poll(() => listener.heard.length, { timeout: 5000 }).toBe(names.length);
    expect([...listener.heard].sort()).toEqual([...names].sort());
  });

  it("that would not fit say that anything may be free", async () => {
    await using listener = await listening();
    await using other = await stage.open();
    const asks = Array.from({ length: 1000 }, (_, n) => ask(`${"long ".repeat(30)}${String(n)}`));
    await other.acquire(asks);
    const answers = await other.release(asks);
    expect(answers.filter(({ kind }) => kind !== "released")).toEqual([]);
    await expect.poll(() => listener.heard, { timeout: 5000 }).toEqual([undefined]);
  });

  it("are not given for what was not released, nor to the one who released it", async () => {
    await using listener = await listening();
    await using other = await stage.open();
    const own: (string | undefined)[] = [];
    other.watch?.((resource) => own.push(resource));
    await expect.poll(() => own, { timeout: 5000 }).toEqual([undefined]);
    const lease = await take(other, "kept");
    await other.release([{ ...lease, leaseId: "another" }]);
    await other.release([{ ...lease, ifRevision: lease.revision + 1n }]);
    await other.release([await take(other, "given")]);
    await expect.poll(() => listener.heard, { timeout: 5000 }).toEqual(["given"]);
    await sleep(200);
    expect(own).toEqual([undefined]);
  });

  it("are heard again when the connection was cut, of all that was missed", async () => {
    await using listener = await listening();
    await using other = await stage.open();
    const lease = await take(other, "missed");
    await stage.server.run(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`,
    );
    await other.release([lease]);
    await expect.poll(() => listener.heard, { timeout: 5000 }).toContain(undefined);
    listener.heard.length = 0;
    await other.release([await take(other, "later")]);
    await expect.poll(() => listener.heard, { timeout: 5000 }).toEqual(["later"]);
  });

  it("of another table are another table's", async () => {
    await using listener = await listening();
    const connection = stage.server.url();
    await using other = await stage.open({ connection, table: "other_leases", create_table: true });
    await other.release([await take(other, "elsewhere")]);
    await using same = await stage.open();
    await same.release([await take(same, "here")]);
    await expect.poll(() => listener.heard, { timeout: 5000 }).toEqual(["here"]);
  });

  it("cost no connection when nobody wants them, and none is left behind", async () => {
    const count = async (): Promise<unknown> =>
      (
        await stage.server.run(
          "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'stormlock'",
        )
      )[0]?.["n"];
    await expect.poll(count, { timeout: 5000 }).toBe(0);
    const backend = await stage.open();
    expect(await count()).toBe(1);
    const stop = backend.watch?.(() => undefined);
    await expect.poll(count, { timeout: 5000 }).toBe(2);
    stop?.();
    await expect.poll(count, { timeout: 5000 }).toBe(1);
    backend.watch?.(() => undefined);
    await backend[Symbol.asyncDispose]();
    await expect.poll(count, { timeout: 5000 }).toBe(0);
  });
});
