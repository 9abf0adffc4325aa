// A client of the store in a process of its own, asked over the channel to the parent.

import { openSqlite, type SqliteSettings } from "../../../../src/backends/sqlite/backend.js";
import { asLockError } from "../../../../src/lock/errors.js";
import { systemClock } from "../../../../src/system-clock.js";
import type { RemoteCall, RemoteReply } from "../../support/remote-backend.js";

const settings = JSON.parse(process.argv[2] ?? "") as SqliteSettings;
const backend = await openSqlite(settings, { clock: systemClock });
let stopWatching: (() => void) | undefined;

function tell(reply: RemoteReply): void {
  process.send?.(reply);
}

async function answer({ id, method, args }: RemoteCall): Promise<void> {
  try {
    const methods = backend as unknown as Record<string, (...all: unknown[]) => Promise<unknown>>;
    tell({ id, answer: await methods[method]?.(...args) });
  } catch (error) {
    const { kind, message } = asLockError(error);
    tell({ id, failure: { kind, message } });
  }
}

async function close(id: number): Promise<void> {
  await backend[Symbol.asyncDispose]();
  tell({ id });
  process.disconnect();
}

process.on("message", (call: RemoteCall) => {
  if (call.method === "watch") {
    stopWatching = backend.watch?.((resource) => {
      tell({ hint: resource });
    });
  } else if (call.method === "unwatch") stopWatching?.();
  else if (call.method === "close") void close(call.id);
  else void answer(call);
});
process.once("disconnect", () => void backend[Symbol.asyncDispose]());
tell({ traits: backend.traits });
