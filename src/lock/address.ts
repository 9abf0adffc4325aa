// Addresses as people write them: `127.0.0.1:7420`, `[::1]:7420`, `locks.example.com`,
// `unix:/run/stormlock.sock`. Text only: nothing is looked up.

export const DEFAULT_PORT = 7420;

/** What parseAddress understands, for messages. */
export const ADDRESS_FORM =
  "HOST, HOST:PORT, [IPV6]:PORT or unix:/PATH, such as 127.0.0.1:7420 or unix:/run/stormlock.sock";

export interface TcpAddress {
  readonly kind: "tcp";
  /** A name or an IP address; an IPv6 address without its brackets. */
  readonly host: string;
  /** 0 lets the system choose: of use for listening alone. */
  readonly port: number;
}

export interface UnixAddress {
  readonly kind: "unix";
  readonly path: string;
}

export type Address = TcpAddress | UnixAddress;

// What the kernel takes; Linux has 107, macOS 103. A longer one would be cut, or refused with
// a word that helps nobody.
const LONGEST_SOCKET_PATH_BYTES = 103;

const encoder = new TextEncoder();

/**
 * Reads an address.
 * @returns the address, or words for what would be right
 */
export function parseAddress(text: string): Address | { kind: "malformed"; expected: string } {
  if (text.startsWith("unix:")) return parseUnix(text.slice("unix:".length));
  if (/^:[0-9]+$/u.test(text)) {
    return malformed(`a host before the colon: 127.0.0.1${text}, or 0.0.0.0${text} for all`);
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//iu.test(text)) return malformed(`no scheme, but ${ADDRESS_FORM}`);
  const bracketed = /^\[([0-9a-f:.]+)\](?::([0-9]+))?$/iu.exec(text);
  const plain = /^([a-z0-9._-]+)(?::([0-9]+))?$/iu.exec(text);
  const [, host = "", portText] = bracketed ?? plain ?? [];
  const isHost = bracketed === null ? isHostName(host) : URL.canParse(`http://[${host}]/`);
  if (!isHost) {
    if (URL.canParse(`http://[${text}]/`)) return malformed(`brackets: [${text}]`);
    return malformed(ADDRESS_FORM);
  }
  const port = portText === undefined ? DEFAULT_PORT : Number(portText);
  if (port > 65_535) return malformed("a port from 0 to 65535");
  return { kind: "tcp", host, port };
}

function malformed(expected: string): { kind: "malformed"; expected: string } {
  return { kind: "malformed", expected };
}

// `unix:///run/x` is how gRPC's own names have it.
function parseUnix(written: string): ReturnType<typeof parseAddress> {
  const path = written.replace(/^\/{2,}/u, "/");
  if (path === "" || path.includes("\0")) return malformed("unix:/PATH of a socket");
  const bytes = encoder.encode(path).length;
  if (bytes > LONGEST_SOCKET_PATH_BYTES) {
    return malformed(
      `a shorter path: it has ${String(bytes)} bytes, a socket's may have ${String(LONGEST_SOCKET_PATH_BYTES)}`,
    );
  }
  return { kind: "unix", path };
}

// A name whose last part is a number can only be meant as an IPv4 address.
function isHostName(host: string): boolean {
  const parts = host.replace(/\.$/u, "").split(".");
  if (host.length > 253 || parts.some((part) => part === "" || part.length > 63)) return false;
  if (!/^[0-9]+$/u.test(parts.at(-1) ?? "")) return true;
  return (
    parts.length === 4 &&
    parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/u.test(part) && Number(part) < 256)
  );
}

/** Writes an address as parseAddress reads it, with its port. */
export function formatAddress(address: Address): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${String(address.port)}`;
}

/**
 * Whether only this machine can reach it. A name other than `localhost` is never taken for
 * it, whatever it may resolve to now.
 */
export function isLoopback(address: Address): boolean {
  if (address.kind === "unix") return true;
  const host = address.host.toLowerCase();
  if (host === "localhost") return true;
  if (!host.includes(":")) return /^127(?:\.[0-9]{1,3}){3}$/u.test(host);
  const canonical = new URL(`http://[${host}]/`).hostname;
  // ::1, and 127.0.0.0/8 in IPv6's clothes
  return canonical === "[::1]" || /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]$/u.test(canonical);
}
