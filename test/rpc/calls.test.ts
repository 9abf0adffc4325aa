import { pino } from "pino";
import { expect, test } from "vitest";
import { Calls } from "../../src/rpc/calls.js";
import { systemClock } from "../../src/system-clock.js";

const HOLD = "/stormlock.v1.LockService/Hold";
const ACQUIRE = "/stormlock.v1.LockService/Acquire";

function callsWith(limits: { readonly mostInFlight: number; readonly mostHolds: number }): Calls {
  return new Calls({ clock: systemClock, log: pino({ level: "silent" }), ...limits });
}

test("Hold streams take no places from calls, nor calls from Hold streams", () => {
  const calls = callsWith({ mostInFlight: 1, mostHolds: 2 });
  const open = (method: string) => calls.open(method, "somebody");
  const holds = [open(HOLD), open(HOLD)];
  const first = open(ACQUIRE);
  for (const call of [...holds, first]) expect(calls.refusal(call)).toBeUndefined();
  expect(calls.refusal(open(ACQUIRE))?.message).toContain("1 calls are in flight");
  expect(calls.refusal(open(HOLD))?.message).toContain("2 Hold streams are open");
});

test("a Hold stream that has ended leaves its place, once", () => {
  const calls = callsWith({ mostInFlight: 1, mostHolds: 1 });
  const ended = calls.open(HOLD, "somebody");
  ended.end(0, "");
  ended.end(0, "");
  expect(calls.refusal(calls.open(HOLD, "somebody"))).toBeUndefined();
  expect(calls.refusal(calls.open(HOLD, "somebody"))?.kind).toBe("overloaded");
});
