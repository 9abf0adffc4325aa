import { fromBinary } from "@bufbuild/protobuf";
import type { Client, ServiceError } from "@grpc/grpc-js";
import {
  HoldRequestSchema,
  HoldResponseSchema,
  LockService,
  type HoldRequest,
} from "../../gen/stormlock/v1/lock_pb.js";
import type { Clock } from "../../lock/clock.js";
import { LockError } from "../../lock/errors.js";
import type { HoldLink, LinkEvents } from "../../lock/holder/link.js";
import { daemonSays, holderMessage } from "../hold-messages.js";
import { methodPath, serialize } from "./definition.js";

// How long a daemon has to take in the last words before the stream is cut off.
const FAREWELL_MS = 1000;

export interface HoldLinkOptions {
  /** Its connection is this stream's alone, and is closed with it. */
  readonly client: Client;
  readonly clock: Clock;
  readonly events: LinkEvents;
  /** What went wrong, in our words. */
  readonly failure: (error: ServiceError) => LockError;
}

/** Opens a Hold stream to one daemon. What goes wrong comes by `closed`. */
export function grpcHoldLink({ client, clock, events, failure }: HoldLinkOptions): HoldLink {
  const state = { isOpen: true };
  const call = client.makeBidiStreamRequest(
    methodPath(LockService.method.hold),
    (message: HoldRequest) => serialize(HoldRequestSchema, message),
    (bytes) => fromBinary(HoldResponseSchema, bytes),
  );
  const close = (error: LockError): void => {
    client.close();
    if (!state.isOpen) return;
    state.isOpen = false;
    events.closed(error);
  };
  call.on("data", (message: Parameters<typeof daemonSays>[0]) => {
    const says = state.isOpen ? daemonSays(message) : undefined;
    if (says !== undefined) events.heard(says);
  });
  call.on("error", (error) => {
    close(failure(error as ServiceError));
  });
  call.on("end", () => {
    close(new LockError("unavailable", "the daemon has ended the Hold stream"));
  });
  return {
    say(message) {
      if (state.isOpen) call.write(holderMessage(message));
    },
    close() {
      state.isOpen = false;
      call.end();
      const cancel = clock.after(FAREWELL_MS, () => {
        call.cancel();
      });
      const onOver = (): void => {
        cancel();
        client.close();
      };
      call.once("end", onOver);
      call.once("error", onOver);
    },
  };
}
