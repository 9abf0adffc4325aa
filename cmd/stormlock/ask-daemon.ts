import type { ClientConfig } from "../../src/config/index.js";
import { isLoopback, parseAddress, type Address } from "../../src/lock/address.js";
import { UnaryClient } from "../../src/rpc/unary-client.js";
import { QuickTransport } from "../../src/rpc/web/quick-transport.js";
import { systemClock } from "../../src/system-clock.js";
import { newLeaseId } from "./lease-id.js";
import { isSecure } from "./pem.js";

/** A client of the configured daemons. */
export async function askDaemon(config: ClientConfig, patienceMs: number): Promise<UnaryClient> {
  const addresses = config.servers.map(parseAddress);
  if (isSecure(config) || !addresses.every(isNearby)) {
    const { connectAsConfigured } = await import("./connect-as-configured.js");
    return await connectAsConfigured(config, patienceMs);
  }
  const transports = addresses.map(
    (address, at) =>
      new QuickTransport({
        address,
        clock: systemClock,
        openGrpc: async () => {
          const { grpcTransport } = await import("../../src/rpc/grpc/channel.js");
          return grpcTransport({ address: config.servers[at] ?? "", clock: systemClock });
        },
      }),
  );
  return new UnaryClient({ transports, clock: systemClock, newLeaseId, patienceMs });
}

// Elsewhere a proxy may be in between, and TLS should be: gRPC knows its way through both.
function isNearby(address: ReturnType<typeof parseAddress>): address is Address {
  return address.kind !== "malformed" && isLoopback(address);
}
