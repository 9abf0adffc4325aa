import { setMaxListeners } from "node:events";
import { expect, it } from "vitest";
import { Slots } from "../../../src/backends/dynamodb/slots.js";
import { FakeClock } from "../../support/fake-clock.js";

const COUNT = 64;

function start() {
  const clock = new FakeClock();
  const slots = new Slots(clock, COUNT);
  const deadline = { atMs: clock.monotonicMs() + 5000, closing: new AbortController().signal };
  setMaxListeners(0, deadline.closing);
  const taken: ((isAnswered: boolean) => void)[] = [];
  const errors: string[] = [];
  const take = (count: number): void => {
    for (let n = 0; n < count; n++) {
      slots.take(deadline, "the table").then(
        (giveBack) => taken.push(giveBack),
        (thrown: unknown) => errors.push((thrown as Error).message),
      );
    }
  };
  const giveBack = (isAnswered: boolean): void => {
    for (const give of taken.splice(0)) give(isAnswered);
  };
  return { clock, slots, deadline, take, taken, giveBack, errors };
}

it("a server that answers gets so many requests at a time, and the next as one is done", async () => {
  const { clock, take, taken } = start();
  take(COUNT + 2);
  await clock.advance(0);
  expect(taken.length).toBe(COUNT);
  taken.shift()?.(true);
  await clock.advance(0);
  expect(taken.length).toBe(COUNT);
});

it("a server that is silent gets a few, and again all when it answers", async () => {
  const { clock, take, taken, giveBack } = start();
  take(200);
  await clock.advance(0);
  giveBack(false);
  await clock.advance(0);
  expect(taken.length).toBe(4);
  giveBack(false);
  await clock.advance(0);
  expect(taken.length).toBe(4);
  const widths: number[] = [];
  for (let round = 0; round < 6; round++) {
    giveBack(true);
    await clock.advance(0);
    widths.push(taken.length);
  }
  // The last of the 200 are taken: 64, 4, 4 and these.
  expect(widths).toEqual([8, 16, 32, 64, 8, 0]);
  take(COUNT + 1);
  await clock.advance(0);
  expect(taken.length).toBe(COUNT);
});

it("who waits in vain is told whether the server was silent or busy", async () => {
  const { clock, take, giveBack, errors } = start();
  take(COUNT + 1);
  await clock.advance(5000);
  expect(errors).toEqual([expect.stringContaining("more to do than it answers in time")]);
  giveBack(false);
  take(5);
  await clock.advance(5000);
  expect(errors.slice(1)).toEqual([expect.stringContaining("did not answer in time")]);
});

it("what is urgent is let through first, and the rest in the order that it came in", async () => {
  const { slots, deadline } = start();
  const [giveBack] = await Promise.all(
    Array.from({ length: COUNT }, () => slots.take(deadline, "the table")),
  );
  const order: string[] = [];
  const wait = async (name: string, urgentAtMs?: number): Promise<void> => {
    const urgent = urgentAtMs === undefined ? {} : { urgentAtMs };
    const done = await slots.take({ ...deadline, ...urgent }, "the table");
    order.push(name);
    done(true);
  };
  const waits = [
    wait("first"),
    wait("soon", 2000),
    wait("second"),
    wait("sooner", 1000),
    wait("late", 9000),
    wait("as soon", 2000),
    wait("third"),
  ];
  giveBack?.(true);
  await Promise.all(waits);
  expect(order).toEqual(["sooner", "soon", "as soon", "late", "first", "second", "third"]);
});

it("one that has waited in vain takes no other's place with it", async () => {
  const { clock, slots, deadline } = start();
  const [giveBack] = await Promise.all(
    Array.from({ length: COUNT }, () => slots.take(deadline, "the table")),
  );
  const late = slots.take({ ...deadline, atMs: deadline.atMs - 1000, urgentAtMs: 5 }, "the table");
  const served: string[] = [];
  const waits = [3, 1, 2].map((urgentAtMs) =>
    slots.take({ ...deadline, urgentAtMs }, "the table").then((done) => {
      served.push(String(urgentAtMs));
      done(true);
    }),
  );
  const refused = expect(late).rejects.toThrow(/more to do/u);
  await clock.advance(4000);
  await refused;
  giveBack?.(true);
  await Promise.all(waits);
  expect(served).toEqual(["1", "2", "3"]);
});
