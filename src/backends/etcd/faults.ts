// What can go wrong with etcd, and the one line that says so and what to do.

import { LockError } from "../../lock/errors.js";
import type { EtcdAccess } from "./settings.js";

type FaultKind =
  /** No connection, or it broke: nobody knows whether the question arrived. */
  | "unreachable"
  /** No answer in time. */
  | "late"
  /** The member that was asked cannot answer now: there is no leader, or too much to do. */
  | "unready"
  /** Refused, and nothing was done: asking again changes nothing by itself. */
  | "refused"
  /** Something of another program is where a lock should be. */
  | "foreign"
  /** This client has been closed. */
  | "closed";

// As gRPC numbers them.
const CODE = { invalidArgument: 3, notFound: 5, exhausted: 8, unavailable: 14 } as const;

const REFUSALS: ReadonlySet<number> = new Set([3, 5, 6, 7, 8, 9, 11, 12, 16]);

export class EtcdFault extends Error {
  readonly kind: FaultKind;
  readonly code: number;
  /** Which member said so. */
  readonly host: string;

  constructor(kind: FaultKind, message: string, host = "", code = 0) {
    super(message);
    this.kind = kind;
    this.code = code;
    this.host = host;
  }

  /** What a call ended with. */
  static from(error: unknown, host: string): EtcdFault {
    const { code = 0, details = "" } = error as { code?: number; details?: string };
    if (details.includes("too many requests")) return new EtcdFault("unready", details, host, code);
    if (REFUSALS.has(code)) return new EtcdFault("refused", details, host, code);
    const isSaidByEtcd = details.startsWith("etcdserver:");
    return new EtcdFault(isSaidByEtcd ? "unready" : "unreachable", details, host, code);
  }

  /** Another member, or the same one a little later, may answer. */
  get isTransient(): boolean {
    return this.kind === "unreachable" || this.kind === "late" || this.kind === "unready";
  }

  /** The login is no longer known; nothing was done. */
  get isStaleLogin(): boolean {
    return /invalid auth token|revision of auth store is old/u.test(this.message);
  }

  /** The etcd lease that a key was to be attached to is not there; nothing was done. */
  get isLeaseGone(): boolean {
    return this.message.includes("requested lease not found");
  }

  /** Refused because of one question among several, or because there were too many. */
  get isAboutTheQuestion(): boolean {
    if (this.kind !== "refused") return false;
    return this.isLeaseGone || (this.code === CODE.invalidArgument && !this.isStaleLogin);
  }
}

/** One line that names the place, what is wrong and what to do. Holds no secret. */
export function explain(thrown: unknown, access: EtcdAccess): LockError {
  if (thrown instanceof LockError) return thrown;
  const place = `etcd at ${placeOf(access)}`;
  const message =
    thrown instanceof EtcdFault
      ? `${place} ${words(thrown, access)}`
      : `${place} cannot be used: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  return new LockError("unavailable", message.replace(/\s+/gu, " "), { cause: thrown });
}

/** Where the store is, for messages. */
export function placeOf({ hosts }: EtcdAccess): string {
  return hosts.join(", ");
}

function words(fault: EtcdFault, access: EtcdAccess): string {
  const { message, kind } = fault;
  const who = access.login === undefined ? "" : ` user ${JSON.stringify(access.login.name)}`;
  switch (kind) {
    case "unreachable":
      return `is not reachable (${reasonOf(message)}): ${adviceFor(message, access)}`;
    case "late":
      return `has not answered within ${String(access.timeoutMs)} ms: see that it runs, that it has a leader, and that its disk is not slow`;
    case "unready":
      return `cannot answer now (${message.replace("etcdserver: ", "")}): see that most of its members run and reach each other`;
    case "foreign":
      return `has something at ${message} that is not Stormlock's: give Stormlock a prefix of its own`;
    case "closed":
      return "is not open any more: it has been closed here";
    case "refused":
      break;
  }
  if (message.includes("invalid user ID or password")) {
    return `refuses the login of${who}: the user or the password is wrong`;
  }
  if (message.includes("authentication is not enabled")) {
    return "knows no users: take user and password out of the configuration, or run: etcdctl auth enable";
  }
  if (message.includes("user name is empty") || message.includes("user name not found")) {
    return "wants a login: put user and password into the configuration";
  }
  if (message.includes("permission denied")) {
    return `does not let${who || " this client"} read and write below ${access.prefix}: run: etcdctl role grant-permission --prefix=true ROLE readwrite ${access.prefix}`;
  }
  if (message.includes("database space exceeded")) {
    return "has used up its space quota: compact and defragment it, then run: etcdctl alarm disarm; nothing that was granted is lost";
  }
  return `refuses (${message.replace("etcdserver: ", "")})`;
}

// grpc-js tells the reason last, after what it did itself.
function reasonOf(message: string): string {
  const last = /Last error: (.*?)(?:\. Resolution note: .*)?$/su.exec(message)?.[1];
  return (last ?? message).replace(/^Error: /u, "") || "the connection broke";
}

function adviceFor(message: string, access: EtcdAccess): string {
  if (/certificate|self.signed|SSL|TLS|altname|EPROTO/iu.test(message)) {
    return access.isEncrypted
      ? "see that ca_cert is what its certificate is signed with, that host is a name in it, and that it accepts cert_cert"
      : "it wants TLS: configure ca_cert";
  }
  return "see that it runs, and that host, port and TLS are configured as it listens";
}
