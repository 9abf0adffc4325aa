// "Do I hold it?" over HTTP, for whoever works under a sidecar's lock.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { formatAddress } from "../../../src/lock/address.js";
import { LockError } from "../../../src/lock/errors.js";
import { listen, type Listener } from "../../../src/rpc/listener.js";
import { refusal } from "../../../src/rpc/web/guard.js";
import { systemClock } from "../../../src/system-clock.js";
import { UsageError } from "../usage-error.js";
import type { TakenLocks } from "./taken-locks.js";

// A caller that says nothing for so long is none.
const SILENCE_MS = 10_000;

/** An address on which a sidecar answers. */
export class HeldDoor implements AsyncDisposable {
  readonly #listener: Listener;

  private constructor(listener: Listener) {
    this.#listener = listener;
  }

  /**
   * Listens.
   * @param holder the locks that are held now; undefined while none are
   * @throws UsageError when the address is no good
   */
  static async open(
    options: { readonly address: string; readonly isPublic: boolean },
    resources: readonly string[],
    holder: () => TakenLocks | undefined,
  ): Promise<HeldDoor> {
    const server = createServer({ keepAlive: true }, (request, response) => {
      answer(request, response, resources, holder());
    });
    server.setTimeout(SILENCE_MS);
    try {
      const listener = await listen({
        address: options.address,
        mayBePublic: options.isPublic,
        tls: undefined,
        onConnection: (socket, { asked, isLoopback }) => {
          entrances.set(socket, { asked, isLoopback });
          server.emit("connection", socket);
        },
      });
      return new HeldDoor(listener);
    } catch (thrown) {
      if (!(thrown instanceof LockError)) throw thrown;
      throw new UsageError(`--http: ${thrown.message}`);
    }
  }

  get address(): string {
    return formatAddress(this.#listener.address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener[Symbol.asyncDispose]();
  }
}

const entrances = new WeakMap<object, Parameters<typeof refusal>[1]>();

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  resources: readonly string[],
  locks: TakenLocks | undefined,
): void {
  const say = (status: number, body: object): void => {
    response.writeHead(status, {
      "content-type": "application/json",
      "cache-control": "no-store",
    });
    response.end(request.method === "HEAD" ? undefined : `${JSON.stringify(body)}\n`);
  };
  const entrance = entrances.get(request.socket);
  const refused = entrance === undefined ? undefined : refusal(request.headers, entrance);
  if (refused !== undefined) {
    say(refused.status, { error: refused.message });
    return;
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    say(405, { error: "only GET and HEAD are answered here" });
    return;
  }
  const [path] = (request.url ?? "").split("?", 1);
  if (path === "/held") {
    const body = heldBody(resources, locks);
    say(body.held ? 200 : 503, body);
  } else if (path === "/healthz") {
    say(200, { status: "ok" });
  } else {
    say(404, { error: "there is nothing here: ask for /held or /healthz" });
  }
}

/** By the clock, at this very moment. */
function heldBody(
  resources: readonly string[],
  locks: TakenLocks | undefined,
): { readonly held: boolean } {
  const [only] = resources;
  const name = resources.length === 1 ? { resource: only } : { resources };
  const validForMs = (deadlineMs: number): number =>
    Math.max(0, Math.floor(deadlineMs - systemClock.monotonicMs()));
  if (locks?.areHeld !== true) return { held: false, ...name };
  const [first] = locks.holds;
  return {
    held: true,
    ...(resources.length === 1
      ? { ...name, token: String(first?.token) }
      : {
          locks: locks.holds.map(({ resource, token }) => ({ resource, token: String(token) })),
        }),
    ...{ valid_for_ms: validForMs(locks.deadlineMs) },
  };
}
