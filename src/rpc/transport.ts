import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { HoldLink, LinkEvents } from "../lock/link.js";

export interface CallOptions {
  /** Calls the call off. */
  readonly signal?: AbortSignal;
  /** How long the answer may take; the far side gets to know it. */
  readonly timeoutMs?: number;
}

/** The way from a client to a service: over a network, or straight into this process. */
export interface Transport extends AsyncDisposable {
  /** @throws LockError, whatever happens; `isDefinite` tells a true no from a lost answer */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>>;

  /** Opens a Hold stream. Never throws: what goes wrong comes by `closed`, later. */
  hold(events: LinkEvents): HoldLink;
}
