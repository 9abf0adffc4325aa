// The one place where the driver is loaded, and told where to connect.

import { readFile } from "node:fs/promises";
import type { ConnectionOptions } from "node:tls";
import type { Client, ClientConfig } from "pg";
import type { ConnectionParts } from "./names.js";
import { filedPassword } from "./pass-file.js";

export type { Client, Notification } from "pg";

/** A connection that is made, and not yet asked for anything. */
export async function connect(parts: ConnectionParts, limitMs: number): Promise<Client> {
  const { Client } = await import("pg");
  // Never none: the driver would look for one by itself, and complain to the operator about it.
  const password = parts.password ?? (await filedPassword(parts)) ?? "";
  const attempt = async (ssl: ConnectionOptions | false): Promise<Client> => {
    const client = new Client({ ...clientConfig(parts, ssl, limitMs), password: () => password });
    // Without a listener an error that comes between two calls would end the process. Who
    // waits for the connection, or for an answer, is told by other means.
    client.on("error", () => undefined);
    try {
      await client.connect();
    } catch (error) {
      cut(client);
      throw error;
    }
    return client;
  };
  const ssl = await tlsOptions(parts);
  try {
    return await attempt(ssl);
  } catch (error) {
    const mode = parts.sslmode ?? "prefer";
    if (ssl === false || !(mode === "prefer" || mode === "allow") || !hasNoTls(error)) throw error;
    return attempt(false);
  }
}

/** Ends a connection at once, without a word to the server. */
export function cut(client: Client): void {
  client.connection.stream.destroy();
}

function hasNoTls(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.message.includes("does not support SSL");
}

function clientConfig(
  parts: ConnectionParts,
  ssl: ConnectionOptions | false,
  limitMs: number,
): ClientConfig {
  const { host, port, dbname, user, application_name, options } = parts;
  return {
    ...{ ssl, connectionTimeoutMillis: limitMs, pipeline: true },
    ...{ keepAlive: true, keepAliveInitialDelayMillis: 10_000 },
    application_name: application_name ?? "stormlock",
    ...{ host, port: Number(port), database: dbname, user },
    ...(options === undefined ? {} : { options }),
  };
}

// The modes mean what they mean to libpq, on which other programs' strings rely.
async function tlsOptions(parts: ConnectionParts): Promise<ConnectionOptions | false> {
  const { host, sslmode = "prefer", sslrootcert, sslcert, sslkey } = parts;
  if (sslmode === "disable" || host.startsWith("/")) return false;
  const read = async (path: string | undefined): Promise<string | undefined> =>
    path === undefined ? undefined : readFile(path, "utf8");
  const trusted = sslrootcert === "system" ? undefined : sslrootcert; // Node has its own.
  const [ca, cert, key] = await Promise.all([read(trusted), read(sslcert), read(sslkey)]);
  const files = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
  if (sslmode === "verify-full") return files;
  // With a certificate to compare with, "require" verifies too, all but the host's name.
  const isVerified =
    sslmode === "verify-ca" || (sslmode === "require" && sslrootcert !== undefined);
  if (isVerified) return { ...files, checkServerIdentity: () => undefined };
  return { ...files, rejectUnauthorized: false };
}
