// The thread that owns the connection. Making a transaction durable takes far longer than
// deciding a question, so all that waits in the port goes into one transaction (group commit).

import {
  parentPort,
  receiveMessageOnPort,
  workerData,
  type MessagePort,
} from "node:worker_threads";
import { loadDriver } from "./driver.js";
import { explain, isFull } from "./faults.js";
import { openHostClock, type HostClock } from "./host-clock.js";
import {
  isRead,
  type FromWorker,
  type ReadQuestion,
  type Reply,
  type Request,
  type WorkerOptions,
  type WriteQuestion,
} from "./messages.js";
import { watchReleases } from "./release-watch.js";
import { Store } from "./store.js";

// Enough that the commit's share of a question is small, and few enough that a group takes
// milliseconds: other processes wait for it.
const MOST_ASKS_A_GROUP = 1024;

// What made the file grow is copied into it after so long: often enough to be done before a disk
// fills up, and seldom enough to cost nothing.
const SETTLE_AFTER_MS = 200;

const options = workerData as WorkerOptions;
if (parentPort === null) throw new Error("worker.ts runs as a worker thread only");
const port: MessagePort = parentPort;

const say = (message: FromWorker): void => {
  port.postMessage(message);
};

let stopWatching: (() => void) | undefined;
let settling: NodeJS.Timeout | undefined;
void serve();

async function serve(): Promise<void> {
  const store = await openStore();
  if (store === undefined) return;
  port.on("message", (first: Request) => {
    answerGroup(store, first);
  });
  say(["opened", undefined]);
}

async function openStore(): Promise<Store | undefined> {
  try {
    const { path, busyMs } = options;
    const settings = { path, busyMs, clock: hostClock(), isLasting: true };
    const opened = new Store(await loadDriver(), settings);
    opened.open();
    return opened;
  } catch (error) {
    say(["opened", explain(error, options.path)]);
    return undefined;
  }
}

function hostClock(): HostClock {
  const clock = openHostClock(options.bootId);
  const { aheadUs } = options;
  if (aheadUs === undefined) return clock;
  const shift = (): number => Number(Atomics.load(aheadUs, 0));
  return {
    bootId: clock.bootId,
    monotonicUs: () => clock.monotonicUs() + shift(),
    suspendedUs: () => clock.suspendedUs(),
    wallUs: () => clock.wallUs() + shift(),
  };
}

function answerGroup(open: Store, first: Request): void {
  const writes: [number, WriteQuestion][] = [];
  const reads: [number, ReadQuestion][] = [];
  const replies: Reply[] = [];
  let isClosing = false;
  let asks = 0;
  for (let request: Request | undefined = first; request !== undefined; request = next()) {
    const [id, question] = request;
    if (id > 0 && id <= Atomics.load(options.givenUp, 0)) continue; // C4
    if (question[0] === "close") isClosing = true;
    else if (question[0] === "watch") watch(open, question[1]);
    else if (isRead(question)) reads.push([id, question]);
    else writes.push([id, question]);
    asks += typeof question[1] === "object" ? question[1].length : 1;
    if (isClosing || asks >= MOST_ASKS_A_GROUP) break;
  }
  replies.push(...answers(writes, (questions) => open.write(questions)));
  replies.push(...answers(reads, (questions) => open.read(questions)));
  if (replies.length > 0) say(["replies", replies]);
  if (isClosing) close(open);
  else if (open.isUnsettled) settleSoon(open);
}

// Nothing is left that would keep the thread from ending.
function close(open: Store): void {
  watch(open, false);
  clearTimeout(settling);
  open.close();
  port.close();
}

function settleSoon(open: Store): void {
  settling ??= setTimeout(() => {
    settling = undefined;
    open.settle();
  }, SETTLE_AFTER_MS);
}

function next(): Request | undefined {
  return (receiveMessageOnPort(port) as { message: Request } | undefined)?.message;
}

function answers<Question>(
  asked: readonly [number, Question][],
  answer: (questions: Question[]) => unknown[],
): Reply[] {
  if (asked.length === 0) return [];
  try {
    const given = answer(asked.map(([, question]) => question));
    return asked.map(([id], index) => [id, undefined, given[index]]);
  } catch (error) {
    // On a full disk there may be room for one and not for another.
    if (isFull(error) && asked.length > 1) return asked.flatMap((one) => answers([one], answer));
    const reason = explain(error, options.path);
    return asked.map(([id]) => [id, reason, undefined]);
  }
}

function watch(open: Store, isWanted: boolean): void {
  stopWatching?.();
  stopWatching = undefined;
  if (!isWanted) return;
  stopWatching = watchReleases(open, () => {
    say(["released"]);
  });
}
