// The port: questions in batches, each answered in its place.
//
//   A1. A question is a line of the journal; its answer is what the lines up to it make of it. So
//       an answer is on the disk before it is given (B6), and a question that was written although
//       its caller heard of a failure is found when it is asked again (B5).
//   A2. Looking is a line, too: what was seen to have ended is never revived by a line that was
//       long on its way.

import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import { LockError } from "stormlock";
import { Leases } from "./leases.js";

// How soon a waiter hears of a release by another process.
const WATCH_EVERY_MS = 100;

export class JournalBackend {
  #journal;
  #clock;
  #leases = new Leases();
  #listeners = new Set();
  #last = Promise.resolve();
  #stopWatching = () => {};
  #isClosed = false;

  constructor(path, journal, clock) {
    this.traits = { type: "stormlock-journal", place: path, minTtlMs: 100, takeoverSlackMs: 0 };
    this.#journal = journal;
    this.#clock = clock;
  }

  // A line has what is asked and no more: callers may pass objects that have other things, too.
  acquire(asks) {
    return this.#ask(
      "acquire",
      asks.map(({ resource, leaseId, principal, ttlMs, reason, labels }) => ({
        ...{ resource, leaseId, principal, reason, labels },
        ttlMs: Math.ceil(ttlMs),
      })),
    );
  }

  renew(asks) {
    return this.#ask(
      "renew",
      asks.map(({ resource, leaseId, ttlMs, ageMs }) => ({
        ...{ resource, leaseId, ageMs },
        ttlMs: ttlMs === undefined ? undefined : Math.ceil(ttlMs),
      })),
    );
  }

  // JSON has no bigint; a revision is a number of microseconds, and small enough for a number.
  release(asks) {
    return this.#ask(
      "release",
      asks.map(({ resource, leaseId, ifRevision }) => ({
        ...{ resource, leaseId },
        ifRevision: ifRevision === undefined ? undefined : Number(ifRevision),
      })),
    );
  }

  async current(resources) {
    const held = new Map((await this.#ask("look")).map((lease) => [lease.resource, lease]));
    return resources.map((resource) => held.get(resource));
  }

  async list({ prefix, after, limit }) {
    return (await this.#ask("look"))
      .filter(({ resource }) => resource.startsWith(prefix))
      .filter(({ resource }) => after === undefined || byBytes(resource, after) > 0)
      .sort((a, b) => byBytes(a.resource, b.resource))
      .slice(0, limit);
  }

  async check() {
    await this.#ask("look");
  }

  // Lines of others are hints; without `watch` waiters would try again when a lease ends.
  watch(mayBeFree) {
    const listener = (resource) => mayBeFree(resource);
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#poll();
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#stopWatching();
    };
  }

  async [Symbol.asyncDispose]() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listeners.clear();
    this.#stopWatching();
    await this.#last; // What is under way is answered first.
    await this.#journal.close();
  }

  async #ask(what, asks = []) {
    if (this.#isClosed) throw this.#unavailable("has been closed here");
    return this.#inTurn(async () => {
      const id = randomUUID();
      const atUs = Math.floor(this.#clock.wallMs() * 1000);
      await this.#journal.append({ id, what, atUs, asks });
      const answers = await this.#catchUp(id);
      if (answers === undefined) throw new Error("it has lost a line: is there another file now?");
      return answers; // A1
    });
  }

  // Reads what is new; @returns the answers to the line with this id.
  async #catchUp(id) {
    let mine;
    await this.#journal.read((record) => {
      const answers = this.#leases.apply(record);
      if (record.id === id) mine = answers;
      else if (record.what === "release") {
        for (const { resource } of record.asks) this.#tell(resource);
      }
    });
    return mine;
  }

  // One after the other, whatever becomes of the one before.
  #inTurn(work) {
    const turn = this.#last.then(work).catch((error) => {
      throw this.#unavailable(`cannot be used: ${error.message}`, error);
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  #poll() {
    this.#stopWatching = this.#clock.after(WATCH_EVERY_MS, () => {
      this.#poll();
      this.#inTurn(() => this.#catchUp()).catch(() => undefined); // Who asks next hears of it.
    });
  }

  #tell(resource) {
    for (const mayBeFree of this.#listeners) mayBeFree(resource);
  }

  #unavailable(what, cause) {
    return new LockError("unavailable", `the journal ${this.traits.place} ${what}`, { cause });
  }
}

function byBytes(a, b) {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
