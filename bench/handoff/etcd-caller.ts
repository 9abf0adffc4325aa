// One who wants a lock by etcd's own lock service, on one etcd lease for all that it takes.

import type { ClientHttp2Session } from "node:http2";
import { grantLease, lock, unlock } from "../peers/etcd-call.js";
import type { Caller } from "./callers.js";

const TTL_S = 60;

export class EtcdCaller implements Caller {
  readonly #session: ClientHttp2Session;
  readonly #resource: string;
  readonly #lease: string;
  readonly #failed: (error: Error) => void;
  #key: Uint8Array = new Uint8Array();
  #unlocked: Promise<unknown> = Promise.resolve();

  private constructor(
    session: ClientHttp2Session,
    resource: string,
    lease: string,
    failed: (error: Error) => void,
  ) {
    this.#session = session;
    this.#resource = resource;
    this.#lease = lease;
    this.#failed = failed;
  }

  static async open(
    session: ClientHttp2Session,
    resource: string,
    failed: (error: Error) => void,
  ): Promise<EtcdCaller> {
    return new EtcdCaller(session, resource, await grantLease(session, TTL_S), failed);
  }

  async take(): Promise<void> {
    // One etcd lease has one key of a name: the last one must be gone.
    await this.#unlocked;
    this.#key = await lock(this.#session, this.#resource, this.#lease);
  }

  give(): void {
    this.#unlocked = unlock(this.#session, this.#key).catch(this.#failed);
  }
}
