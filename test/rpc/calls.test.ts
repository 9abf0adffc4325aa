import { pino } from "pino";
import { expect, test } from "vitest";
import { Calls, type Limits } from "../../src/rpc/calls.js";
import { systemClock } from "../../src/system-clock.js";

const LOCKS = "/stormlock.v1.LockService";
const HOLD = `${LOCKS}/Hold`;
const ACQUIRE = `${LOCKS}/Acquire`;
const WATCH = "/grpc.health.v1.Health/Watch";

function callsWith(limits: Partial<Limits>): Calls {
  return new Calls({ clock: systemClock, log: pino({ level: "silent" }), limits });
}

test("Hold streams take no places from acquires, nor acquires from Hold streams", () => {
  const calls = callsWith({ acquire: 1, hold: 2 });
  const open = (method: string) => calls.open(method, "somebody");
  const holds = [open(HOLD), open(HOLD)];
  const first = open(ACQUIRE);
  for (const call of [...holds, first]) expect(calls.refusal(call)).toBeUndefined();
  expect(calls.refusal(open(ACQUIRE))?.message).toContain("1 acquires are in flight");
  expect(calls.refusal(open(HOLD))?.message).toContain("2 Hold streams are open");
});

test("acquires that wait keep no holder from renewing, releasing or asking", () => {
  const calls = callsWith({ acquire: 3, quick: 4 });
  for (let count = 0; count < 10; count++) calls.open(ACQUIRE, "one who waits");
  for (const method of ["Renew", "Release", "Current", "IsHeld"]) {
    expect(calls.refusal(calls.open(`${LOCKS}/${method}`, "a holder"))).toBeUndefined();
  }
  expect(calls.refusal(calls.open(`${LOCKS}/List`, "somebody"))?.kind).toBe("overloaded");
});

test("streams that watch health or reflect have a limit, and take nobody's place", () => {
  const calls = callsWith({ acquire: 1, quick: 1, watching: 2 });
  const watching = [calls.open(WATCH, "a proxy"), calls.open(WATCH, "a proxy")];
  for (const call of watching) expect(calls.refusal(call)).toBeUndefined();
  const reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  expect(calls.refusal(calls.open(reflection, "a proxy"))?.message).toContain(
    "2 streams of health",
  );
  expect(calls.refusal(calls.open(ACQUIRE, "somebody"))).toBeUndefined();
  expect(calls.refusal(calls.open("/grpc.health.v1.Health/Check", "a probe"))).toBeUndefined();
  watching[0]?.end(1, "");
  watching[1]?.end(1, "");
  expect(calls.refusal(calls.open(WATCH, "a proxy"))).toBeUndefined();
});

test("who asks for health is answered by a daemon that is about to stop", () => {
  const calls = callsWith({});
  calls.drain();
  expect(calls.refusal(calls.open(WATCH, "a proxy"))).toBeUndefined();
  expect(calls.refusal(calls.open(ACQUIRE, "somebody"))?.kind).toBe("unavailable");
});

test("a Hold stream that has ended leaves its place, once", () => {
  const calls = callsWith({ acquire: 1, hold: 1 });
  const ended = calls.open(HOLD, "somebody");
  ended.end(0, "");
  ended.end(0, "");
  expect(calls.refusal(calls.open(HOLD, "somebody"))).toBeUndefined();
  expect(calls.refusal(calls.open(HOLD, "somebody"))?.kind).toBe("overloaded");
});
