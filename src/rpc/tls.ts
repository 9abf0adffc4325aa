import { constants } from "node:crypto";
import { createSecureContext, type PeerCertificate, type TlsOptions } from "node:tls";
import { LockError } from "../lock/errors.js";

/** Keys and certificates of the daemon, as PEM. */
export interface ServerTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Whose certificates callers must show. Without it callers are not authenticated. */
  readonly clientCa?: Buffer;
}

// How long a handshake may take.
const HANDSHAKE_MS = 10_000;

/**
 * What node:tls needs.
 * @param protocol the one protocol that the port speaks
 * @throws LockError "invalid-field" when the PEM texts are no good or do not belong together
 */
export function tlsOptions(tls: ServerTls, protocol: "h2" | "http/1.1"): TlsOptions {
  const options: TlsOptions = {
    cert: tls.cert,
    key: tls.key,
    ...(tls.clientCa === undefined
      ? {}
      : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
    ALPNProtocols: [protocol],
    minVersion: "TLSv1.2",
    // A connection has one identity from its beginning to its end.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    handshakeTimeout: HANDSHAKE_MS,
  };
  try {
    createSecureContext(options);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LockError(
      "invalid-field",
      `tls: certificate, key and client CA cannot be used together: ${why}; give PEM files that belong to each other`,
      { field: "tls", cause },
    );
  }
  return options;
}

/**
 * Who a verified certificate says that the caller is: the first URI, DNS name or e-mail address
 * of its subject alternative names, in this order, else its common name.
 * @returns undefined when it names nobody, or is ambiguous
 */
export function identityOf(certificate: PeerCertificate): string | undefined {
  const names = alternativeNames(certificate.subjectaltname ?? "");
  for (const type of ["URI", "DNS", "email"]) {
    const name = names.find((candidate) => candidate.type === type);
    if (name !== undefined && name.value !== "") return name.value;
  }
  // An empty subject is left out by Node, and several common names come as an array.
  const subject = certificate.subject as { readonly CN?: unknown } | undefined;
  const commonName = subject?.CN;
  return typeof commonName === "string" && commonName !== "" ? commonName : undefined;
}

// Node writes `DNS:a.example, URI:"quoted as JSON where a comma could mislead"`.
function alternativeNames(text: string): { readonly type: string; readonly value: string }[] {
  const entry = /([A-Za-z][A-Za-z ]*):(?:("(?:[^"\\]|\\.)*")|([^,"]*))(?:, |$)/uy;
  const names = [];
  for (let match = entry.exec(text); match !== null; match = entry.exec(text)) {
    const [, type = "", quoted, plain = ""] = match;
    names.push({ type, value: quoted === undefined ? plain : unquoted(quoted) });
    if (entry.lastIndex >= text.length) return names;
  }
  // What cannot be read to its end is not trusted in its beginning.
  return [];
}

function unquoted(json: string): string {
  try {
    return JSON.parse(json) as string;
  } catch {
    return "";
  }
}
