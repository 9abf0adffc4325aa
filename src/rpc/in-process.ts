import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { LockService as Definition } from "../gen/stormlock/v1/lock_pb.js";
import { LockError } from "../lock/errors.js";
import type { Clock } from "../lock/clock.js";
import type { CallContext, LockService } from "./service.js";
import type { CallOptions, Transport } from "./transport.js";

type Handler = (request: never, context: CallContext) => Promise<unknown>;

/** The door for a command without a daemon: the same service, no network in between. */
export class InProcessTransport implements Transport {
  readonly #clock: Clock;
  readonly #handlers: ReadonlyMap<string, Handler>;
  readonly #gone = new AbortController();

  constructor(service: LockService, clock: Clock) {
    this.#clock = clock;
    const methods = Definition.method;
    this.#handlers = new Map<string, Handler>([
      [methods.acquire.name, service.acquire.bind(service)],
      [methods.renew.name, service.renew.bind(service)],
      [methods.release.name, service.release.bind(service)],
      [methods.current.name, service.current.bind(service)],
      [methods.isHeld.name, service.isHeld.bind(service)],
      [methods.list.name, service.list.bind(service)],
    ]);
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { signal, timeoutMs }: CallOptions,
  ): Promise<MessageShape<O>> {
    const handler = this.#handlers.get(method.name);
    if (handler === undefined)
      throw new LockError("internal", `the service has no method ${method.name}`);
    const timeout = new AbortController();
    const stop = this.#clock.after(timeoutMs ?? Infinity, () => {
      timeout.abort();
    });
    const signals = [timeout.signal, this.#gone.signal, ...(signal === undefined ? [] : [signal])];
    try {
      const context = { signal: AbortSignal.any(signals), identity: undefined };
      return (await handler(create(method.input, request) as never, context)) as MessageShape<O>;
    } catch (thrown) {
      if (!timeout.signal.aborted) throw thrown;
      throw new LockError("timed-out", `no answer within ${String(timeoutMs)} ms`, {
        cause: thrown,
      });
    } finally {
      stop();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#gone.abort();
    return Promise.resolve();
  }
}
