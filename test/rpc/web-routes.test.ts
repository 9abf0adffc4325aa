import { createContextValues } from "@connectrpc/connect";
import { pino } from "pino";
import { expect, it } from "vitest";
import { Admission, type Arrival } from "../../src/rpc/admission.js";
import { Calls } from "../../src/rpc/calls.js";
import { LockService } from "../../src/rpc/service.js";
import { routes, VISIT } from "../../src/rpc/web/routes.js";
import { systemClock } from "../../src/system-clock.js";
import { startDaemon } from "./support/daemon.js";

/** A line in which nobody's turn comes by itself. */
class Line extends Admission {
  readonly arrivals: Arrival[] = [];

  constructor() {
    super({ clock: systemClock, onChange: () => undefined });
  }

  override enter(arrival: Arrival): { readonly isCrowded: boolean } {
    this.arrivals.push(arrival);
    return { isCrowded: false };
  }
}

it("an acquire whose caller has left its place in line is over, and is not begun", async () => {
  await using daemon = await startDaemon();
  const calls = new Calls({ clock: systemClock, log: pino({ level: "silent" }) });
  const line = new Line();
  const path = "/stormlock.v1.LockService/Acquire";
  const handler = routes(new LockService(daemon.locks), calls, line).get(path);
  const leave = new AbortController();
  const call = calls.open(path, "somebody");
  const answered = handler?.({
    ...{ httpVersion: "1.1", method: "POST", url: `http://stormlock${path}` },
    header: new Headers({ "content-type": "application/json" }),
    // eslint-disable-next-line @typescript-eslint/require-await -- the form that Connect asks for
    body: (async function* () {
      yield Buffer.from('{"resource": "x"}');
    })(),
    signal: leave.signal,
    contextValues: createContextValues().set(VISIT, { call, identity: undefined }),
  });
  await expect.poll(() => line.arrivals.length).toBe(1);
  const [arrival] = line.arrivals;
  expect(arrival?.isGone()).toBe(false);
  leave.abort();
  expect(arrival?.isGone()).toBe(true);
  await answered?.catch(() => undefined);
  expect(calls.inFlight).toBe(0);
  arrival?.begin();
  expect(await daemon.locks.current("x")).toBeUndefined();
});
