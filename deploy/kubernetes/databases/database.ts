// The database that an overlay's configuration names, as the play of the Deployment sees it.

import type { Authority } from "../../../test/rpc/support/certificates.js";

/** A lock, as the database has it. */
export interface Row {
  readonly leaseId: string;
  readonly token: string;
}

/** One of the database's servers: how the configuration calls it, and where it is. */
export interface DatabaseServer {
  readonly host: string;
  readonly port: number;
  /** Of this process's own loopback. */
  readonly realPort: number;
}

export interface Database extends AsyncDisposable {
  readonly servers: readonly DatabaseServer[];
  /** All locks that are held at this moment, as no daemon but the database itself says. */
  held(): Promise<ReadonlyMap<string, Row>>;
  /** When each of them ends, by the database's own clock and to the second. */
  endsMs(): Promise<ReadonlyMap<string, number>>;
}

export interface DatabaseOrder {
  /** The overlay's config.toml. */
  readonly config: string;
  readonly password: string;
  /** Signs the certificates of its servers. */
  readonly authority: Authority;
}

export interface DatabaseKind {
  readonly title: string;
  readonly overlay: string;
  /** Why there is none here; undefined when there is. */
  readonly missing: string | undefined;
  /** What the overlay hands the password over in. */
  readonly passwordVariable: string;
  /** Starts it empty, with the configuration's user, and certificates for its hosts. */
  readonly start: (order: DatabaseOrder) => Promise<Database>;
}

/** What a configuration sets a key to, in one line. */
export function valueIn(config: string, key: string): string {
  const [, value] = new RegExp(`^${key} = (.+)$`, "mu").exec(config) ?? [];
  if (value === undefined) throw new Error(`config.toml sets no ${key}`);
  return value;
}
