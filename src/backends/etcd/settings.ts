import type { ZodObject } from "zod";
import { formatAddress, parseAddress } from "../../lock/address.js";
import { parseDuration } from "../../lock/duration.js";

/** What a configuration says of a store in etcd. */
export interface EtcdSettings {
  readonly host?: string;
  readonly port?: number;
  /** All members of a cluster, in place of `host` and `port`: HOST or HOST:PORT, https:// before it. */
  readonly hosts?: readonly string[];
  /** Paths of PEM files, for TLS: whom to trust, and who one is. */
  readonly ca_cert?: string;
  readonly cert_key?: string;
  readonly cert_cert?: string;
  readonly user?: string;
  readonly password?: string;
  /** What all keys begin with: stores with other prefixes are other stores. */
  readonly prefix?: string;
  /** How long a question may take: a duration such as 5s, or a number of seconds. */
  readonly timeout?: string | number;
}

/** The same with every default put in. */
export interface EtcdAccess {
  /** HOST:PORT of every member that may be asked. */
  readonly hosts: readonly string[];
  readonly isEncrypted: boolean;
  readonly caPath: string | undefined;
  readonly certPath: string | undefined;
  readonly keyPath: string | undefined;
  readonly login: { readonly name: string; readonly password: string } | undefined;
  /** Ends in a slash. */
  readonly prefix: string;
  readonly timeoutMs: number;
}

const DEFAULT_HOST = "localhost";
const DEFAULT_PORT = 2379;
const DEFAULT_PREFIX = "stormlock/";
const DEFAULT_TIMEOUT_MS = 5000;
const LEAST_TIMEOUT_MS = 100;
const MOST_TIMEOUT_MS = 60_000;

/** What may be said. Asynchronous, since zod is slow to load. */
export async function etcdSettings(): Promise<ZodObject> {
  const { z } = await import("zod");
  const text = z.string().min(1, { error: "must be a text that is not empty" });
  const host = z.string().refine((value) => hostOf(value) !== undefined, {
    error: "must be HOST, HOST:PORT or [IPV6]:PORT, such as etcd-1:2379",
  });
  return z
    .strictObject({
      host: text
        .refine((value) => hostOf(bracketed(value)) !== undefined && !hasPort(value), {
          error: "must be a name or an IP address; the port has a key of its own",
        })
        .optional(),
      port: z
        .int()
        .refine((port) => port >= 1 && port <= 65_535, { error: "must be a port from 1 to 65535" })
        .optional(),
      hosts: z.array(host).min(1, { error: "must be a list of one host or more" }).optional(),
      ca_cert: text.optional(),
      cert_key: text.optional(),
      cert_cert: text.optional(),
      user: text.optional(),
      password: text.optional(),
      prefix: z
        .string()
        .regex(/^[^\p{Cc}]{1,200}$/u, { error: "must be 1 to 200 characters, e.g. stormlock/" })
        .optional(),
      timeout: z
        .union([z.string(), z.number()], { error: TIMEOUT_FORM })
        .refine((value) => timeoutMsOf(value) !== undefined, { error: TIMEOUT_FORM })
        .optional(),
    })
    .superRefine((settings, context) => {
      const complain = (key: string, message: string): void => {
        context.addIssue({ code: "custom", path: [key], message });
      };
      for (const key of ["host", "port"] as const) {
        if (settings[key] === undefined || settings.hosts === undefined) continue;
        complain(key, "must be left out where hosts are listed");
      }
      for (const [key, other] of [
        ["cert_cert", "cert_key"],
        ["cert_key", "cert_cert"],
        ["user", "password"],
        ["password", "user"],
      ] as const) {
        if (settings[key] === undefined || settings[other] !== undefined) continue;
        complain(key, `must have ${other} beside it`);
      }
    });
}

const TIMEOUT_FORM = "must be a duration from 100ms to 1m, such as 5s, or a number of seconds";

/** Puts the defaults in. */
export function accessOf(settings: EtcdSettings): EtcdAccess {
  const { hosts, ca_cert, cert_cert, cert_key, user, password } = settings;
  const port = String(settings.port ?? DEFAULT_PORT);
  const written = hosts ?? [`${bracketed(settings.host ?? DEFAULT_HOST)}:${port}`];
  const prefix = settings.prefix ?? DEFAULT_PREFIX;
  return {
    hosts: written.map((each) => hostOf(each) ?? each),
    isEncrypted:
      ca_cert !== undefined ||
      cert_cert !== undefined ||
      written.some((each) => each.startsWith("https://")),
    caPath: ca_cert,
    certPath: cert_cert,
    keyPath: cert_key,
    login: user === undefined ? undefined : { name: user, password: password ?? "" },
    prefix: prefix.endsWith("/") ? prefix : `${prefix}/`,
    timeoutMs: timeoutMsOf(settings.timeout) ?? DEFAULT_TIMEOUT_MS,
  };
}

// HOST:PORT; undefined when it is not an address of this kind.
function hostOf(written: string): string | undefined {
  const text = written.replace(/^https?:\/\//u, "").replace(/\/$/u, "");
  const address = parseAddress(hasPort(text) ? text : `${text}:${String(DEFAULT_PORT)}`);
  return address.kind === "tcp" && address.port > 0 ? formatAddress(address) : undefined;
}

function hasPort(text: string): boolean {
  return /^(?:[^:]*|\[.*\]):[0-9]+$/u.test(text);
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

// The older tool counts in seconds, and its files know nothing but texts.
function timeoutMsOf(value: string | number | undefined): number | undefined {
  if (value === undefined) return undefined;
  const isSeconds = typeof value === "number" || /^[0-9]+$/u.test(value);
  const ms = isSeconds ? Number(value) * 1000 : parseDuration(value);
  return ms !== undefined && ms >= LEAST_TIMEOUT_MS && ms <= MOST_TIMEOUT_MS ? ms : undefined;
}
