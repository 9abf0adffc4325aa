// A backend that lives in another process.

import { once } from "node:events";
import type { ChildProcess } from "node:child_process";
import type { Backend, BackendTraits } from "../../../src/lock/backend.js";
import { LockError, type ErrorKind } from "../../../src/lock/errors.js";

export interface RemoteCall {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

export interface RemoteReply {
  readonly id?: number;
  readonly answer?: unknown;
  readonly failure?: { readonly kind: ErrorKind; readonly message: string };
  readonly hint?: string | undefined;
  readonly traits?: BackendTraits;
}

/** Speaks to children/serve.ts. */
export async function remoteBackend(child: ChildProcess): Promise<Backend> {
  const calls = new Map<number, (reply: RemoteReply) => void>();
  const listeners = new Set<(resource: string | undefined) => void>();
  let lastId = 0;
  let isClosed = false;
  const [{ traits }] = (await once(child, "message")) as [RemoteReply];
  if (traits === undefined) throw new Error("the child should have said what its backend is");
  child.on("message", (reply: RemoteReply) => {
    if (reply.id === undefined) for (const listener of listeners) listener(reply.hint);
    else calls.get(reply.id)?.(reply);
  });

  const call = async (method: string, ...args: unknown[]): Promise<never> => {
    if (isClosed) throw new LockError("unavailable", "the remote backend has been closed here");
    if (method === "close") isClosed = true;
    const id = ++lastId;
    const { answer, failure } = await new Promise<RemoteReply>((resolve) => {
      calls.set(id, resolve);
      child.send({ id, method, args } satisfies RemoteCall);
    });
    calls.delete(id);
    if (failure !== undefined) throw new LockError(failure.kind, failure.message);
    return answer as never;
  };

  return {
    traits,
    acquire: (asks) => call("acquire", asks),
    renew: (asks) => call("renew", asks),
    release: (asks) => call("release", asks),
    current: (resources) => call("current", resources),
    list: (ask) => call("list", ask),
    check: () => call("check"),
    watch(mayBeFree) {
      listeners.add(mayBeFree);
      child.send({ id: 0, method: "watch", args: [] } satisfies RemoteCall);
      return () => {
        if (listeners.delete(mayBeFree)) child.send({ id: 0, method: "unwatch", args: [] });
      };
    },
    async [Symbol.asyncDispose]() {
      if (isClosed) return;
      const ended = once(child, "exit");
      await call("close");
      await ended;
    },
  };
}
