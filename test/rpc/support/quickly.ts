import { parseAddress } from "../../../src/lock/address.js";
import { grpcTransport } from "../../../src/rpc/grpc/channel.js";
import { QuickTransport } from "../../../src/rpc/web/quick-transport.js";
import { systemClock } from "../../../src/system-clock.js";

/** The quick way to a daemon, and gRPC behind it; `onGrpc` hears when that is loaded. */
export function quickly(text: string, onGrpc?: () => void): QuickTransport {
  const address = parseAddress(text);
  if (address.kind === "malformed") throw new Error(`${text} is no address`);
  return new QuickTransport({
    address,
    clock: systemClock,
    openGrpc: () => {
      onGrpc?.();
      return Promise.resolve(grpcTransport({ address: text, clock: systemClock }));
    },
  });
}
