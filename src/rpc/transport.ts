import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { LockService } from "../gen/stormlock/v1/lock_pb.js";
import type { HoldLink, LinkEvents } from "../lock/holder/link.js";

type Methods = (typeof LockService)["method"];

/** A method with one question and one answer, by its name. */
export type UnaryMethod = Exclude<keyof Methods, "hold">;

export type RequestOf<M extends UnaryMethod> = MessageInitShape<Methods[M]["input"]>;

export type AnswerOf<M extends UnaryMethod> = MessageShape<Methods[M]["output"]>;

export interface CallOptions {
  /** Calls the call off. */
  readonly signal?: AbortSignal;
  /** How long the answer may take; the far side gets to know it. */
  readonly timeoutMs?: number;
}

/** The way from a client to a service, for one question at a time. */
export interface UnaryTransport extends AsyncDisposable {
  /** @throws LockError, whatever happens; `isDefinite` tells a true no from a lost answer */
  unary<M extends UnaryMethod>(
    method: M,
    request: RequestOf<M>,
    options: CallOptions,
  ): Promise<AnswerOf<M>>;
}

/** The way from a client to a service: over a network, or straight into this process. */
export interface Transport extends UnaryTransport {
  /** Opens a Hold stream. Never throws: what goes wrong comes by `closed`, later. */
  hold(events: LinkEvents): HoldLink;
}
