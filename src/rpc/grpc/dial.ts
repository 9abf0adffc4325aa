// Where a daemon is, and how connections to it behave.

import { Client, credentials, type ChannelCredentials, type ChannelOptions } from "@grpc/grpc-js";
import { formatAddress, isLoopback, parseAddress, type Address } from "../../lock/address.js";
import { LockError } from "../../lock/errors.js";

/** What a client needs to speak TLS, as PEM. */
export interface ClientTls {
  /** Who signs the daemon's certificate. Without it the authorities that Node knows count. */
  readonly ca?: Buffer;
  /** The own certificate and its key: both or none. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

// A page of the longest names with all their labels.
const MOST_ANSWER_BYTES = 16 * 1024 * 1024;

// gRPC would double its pause up to two minutes: a daemon that restarts is back within one second.
const MOST_BACKOFF_MS = 1000;

// While something is asked: a call that waits in a queue has no other sign of life, and shall find
// out before long that it waits for nobody.
const PING_EVERY_MS = 5000;
const PING_TIMEOUT_MS = 5000;

export interface Dial {
  /** The address, for messages. */
  readonly where: string;
  /** Makes a client with connections of its own; it connects with its first call. */
  readonly connect: () => Client;
}

/**
 * Reads an address, and gets ready to connect to it.
 * @throws LockError "invalid-field" when the address or the PEM texts are no good
 */
export function dial(text: string, tls: ClientTls | undefined): Dial {
  const address = checked(text);
  const target =
    address.kind === "unix" ? `unix:${address.path}` : `dns:///${formatAddress(address)}`;
  // A unix socket has no TLS on the other side either.
  const creds =
    tls === undefined || address.kind === "unix" ? credentials.createInsecure() : secure(tls);
  return {
    where: formatAddress(address),
    connect: () => new Client(target, creds, channelOptions(address)),
  };
}

/** What is said when nobody answers at an address; `details` is what grpc-js has to say. */
export function unreachableWords(where: string, details: string): string {
  return `${where} cannot be reached: ${details.replace(/\.? Resolution note: $/u, "")}`;
}

function checked(text: string): Address {
  const address = parseAddress(text);
  if (address.kind !== "malformed") return address;
  throw new LockError(
    "invalid-field",
    `server ${JSON.stringify(text)} is no address: expected ${address.expected}`,
    { field: "server" },
  );
}

function secure({ ca, cert, key }: ClientTls): ChannelCredentials {
  try {
    return credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LockError(
      "invalid-field",
      `tls: CA, certificate and key cannot be used together: ${why}; give PEM files that belong to each other`,
      { field: "tls", cause },
    );
  }
}

function channelOptions(address: Address): ChannelOptions {
  return {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": MOST_BACKOFF_MS,
    "grpc.dns_min_time_between_resolutions_ms": MOST_BACKOFF_MS,
    "grpc.keepalive_time_ms": PING_EVERY_MS,
    "grpc.keepalive_timeout_ms": PING_TIMEOUT_MS,
    "grpc.max_receive_message_length": MOST_ANSWER_BYTES,
    // Who retries must keep the lease id: that is the client's affair, not gRPC's.
    "grpc.enable_retries": 0,
    // Connections are nobody else's: closing this closes them.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_channelz": 0,
    // http_proxy is obeyed even for this very machine, where no proxy can lead.
    ...(isLoopback(address) ? { "grpc.enable_http_proxy": 0 } : {}),
  };
}
