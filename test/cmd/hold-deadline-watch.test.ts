import { beforeEach, describe, expect, test } from "vitest";
import {
  DeadlineWatch,
  type DeadlineWatchOptions,
} from "../../cmd/stormlock/hold/deadline-watch.js";
import { FakeHostTime } from "../support/fake-host-time.js";

const GRACE_MS = 1000;

let time: FakeHostTime;
let done: string[];
beforeEach(() => {
  time = new FakeHostTime();
  done = [];
});

function watch(deadlineMs: number, more: Partial<DeadlineWatchOptions> = {}) {
  const begunMs = time.now().hrMs;
  const noteDown = (what: string) => () => {
    done.push(`${what} at ${String(time.now().hrMs - begunMs)}`);
  };
  return new DeadlineWatch({
    time,
    graceMs: GRACE_MS,
    deadline: time.in(deadlineMs),
    terminate: noteDown("asked"),
    kill: noteDown("killed"),
    ...more,
  });
}

describe("whoever is watched", () => {
  test("is asked a grace before the deadline and killed at it, once each", () => {
    watch(5000);
    time.advance(3999);
    expect(done).toEqual([]);
    time.advance(10_000);
    expect(done).toEqual(["asked at 4000", "killed at 5000"]);
    expect(time.timers).toBe(0);
  });

  test("lives as long as newer deadlines come", () => {
    const one = watch(5000);
    for (let round = 0; round < 10; round++) {
      time.advance(3500);
      one.extend(time.in(5000));
    }
    expect(done).toEqual([]);
    time.advance(10_000);
    expect(done).toEqual(["asked at 39000", "killed at 40000"]);
  });

  test("ends sooner when a deadline comes that is sooner", () => {
    const one = watch(60_000);
    time.advance(100);
    one.extend(time.in(2000));
    time.advance(5000);
    expect(done).toEqual(["asked at 1100", "killed at 2100"]);
  });

  test("is not brought back by a deadline that comes after he was asked", () => {
    const one = watch(5000);
    time.advance(4000);
    one.extend(time.in(60_000));
    time.advance(60_000);
    expect(done).toEqual(["asked at 4000", "killed at 5000"]);
  });

  test("is not ended by a late timer when a newer deadline lies unread", () => {
    const one = watch(5000);
    time.advance(3900);
    time.unread.push(() => {
      one.extend(time.in(5000));
    });
    time.stopFor(2000);
    expect(done).toEqual([]);
    time.advance(4000);
    expect(done).toEqual(["asked at 9900"]);
  });

  test("is killed without being asked when nobody looked before the deadline", () => {
    watch(5000);
    time.stopFor(5000);
    expect(done).toEqual(["killed at 5000"]);
  });

  test("is killed soon after the host wakes from a sleep beyond the deadline", () => {
    watch(60_000);
    time.advance(1000);
    time.suspendFor(59_000);
    time.advance(250);
    expect(done).toHaveLength(1);
    expect(done[0]).toMatch(/^killed/);
  });

  test("has no grace when it is 0", () => {
    watch(5000, { graceMs: 0 });
    time.advance(6000);
    expect(done).toEqual(["killed at 5000"]);
  });
});

describe("whoever is ended now", () => {
  test("is asked at once and killed after the grace", () => {
    const one = watch(60_000);
    time.advance(500);
    one.endNow();
    one.endNow();
    time.advance(60_000);
    expect(done).toEqual(["asked at 500", "killed at 1500"]);
  });

  test("is killed at the deadline when that is sooner", () => {
    const one = watch(5000, { graceMs: 1000, terminateLateMs: 900 });
    time.advance(4500);
    one.endNow();
    time.advance(5000);
    expect(done).toEqual(["asked at 4500", "killed at 5000"]);
  });

  test("is killed at once when the deadline has passed", () => {
    const one = watch(5000);
    one.extend(time.in(-1));
    one.endNow();
    expect(done).toEqual(["killed at 0"]);
  });
});

describe("the second of two watches", () => {
  test("asks a little later, and kills at the same time", () => {
    watch(5000, { terminateLateMs: 200 });
    time.advance(6000);
    expect(done).toEqual(["asked at 4200", "killed at 5000"]);
  });

  test("does not ask again when the first one has asked", () => {
    const one = watch(5000, { terminateLateMs: 200 });
    time.advance(4050);
    one.hasBeenTerminated();
    time.advance(6000);
    expect(done).toEqual(["killed at 5000"]);
  });

  test("knows that it is due as soon as the first one does", () => {
    const one = watch(5000, { terminateLateMs: 200 });
    time.advance(3999);
    expect(one.isDue).toBe(false);
    time.advance(1);
    expect(one.isDue).toBe(true);
    expect(one.phase).toBe("watching");
  });
});

describe("whoever may outlive the deadline", () => {
  const free = { endsAtDeadline: false };

  test("is left alone by it, and nobody looks", () => {
    const one = watch(5000, free);
    one.extend(time.in(2000));
    expect(time.timers).toBe(0);
    time.advance(60_000);
    expect(done).toEqual([]);
    expect(one.phase).toBe("watching");
  });

  test("has the whole grace when he is ended after it", () => {
    const one = watch(5000, free);
    time.advance(7000);
    one.endNow();
    time.advance(60_000);
    expect(done).toEqual(["asked at 7000", "killed at 8000"]);
  });

  test("has none of it beyond the deadline when he is ended before", () => {
    const one = watch(5000, free);
    time.advance(4500);
    one.endNow();
    time.advance(60_000);
    expect(done).toEqual(["asked at 4500", "killed at 5000"]);
  });
});

test("a stopped watch does nothing and leaves no timer", () => {
  const one = watch(5000);
  one.stop();
  one.endNow();
  time.advance(10_000);
  expect(done).toEqual([]);
  expect(time.timers).toBe(0);
});
