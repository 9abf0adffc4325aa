import type { Client } from "pg";
import { missingPostgresql, PostgresqlServer } from "../../../test/support/servers/postgresql.js";
import { valueIn, type Database, type DatabaseKind, type DatabaseOrder } from "./database.js";
import type { DatabaseServer, Row } from "./database.js";

// A row of an empty name is the store's own note.
const HELD = `FROM stormlock_leases
             WHERE expires_us > extract(epoch FROM clock_timestamp()) * 1e6
               AND convert_from(resource, 'UTF8') <> ''
             ORDER BY resource`;

class Postgresql implements Database {
  readonly servers: readonly DatabaseServer[];
  readonly #server: PostgresqlServer;
  readonly #admin: Client;

  constructor(servers: readonly DatabaseServer[], server: PostgresqlServer, admin: Client) {
    this.servers = servers;
    this.#server = server;
    this.#admin = admin;
  }

  static async start({ config, password, authority }: DatabaseOrder): Promise<Postgresql> {
    const connection = JSON.parse(valueIn(config, "connection")) as string;
    const { hostname: host, port, username: user, pathname } = new URL(connection);
    const name = pathname.slice(1);
    const { cert, key } = authority.issue(`/CN=${host}`, `DNS:${host}`);
    const server = await PostgresqlServer.start({
      config: { ssl: "on" },
      files: { "server.crt": String(cert), "server.key": String(key) },
    });
    try {
      const quoted = `'${password.replaceAll("'", "''")}'`;
      await server.run(`CREATE ROLE ${user} LOGIN PASSWORD ${quoted}`);
      await server.run(`CREATE DATABASE ${name} OWNER ${user}`);
      const admin = await server.connect(server.url({ database: name }));
      return new Postgresql([{ host, port: Number(port), realPort: server.port }], server, admin);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  async held(): Promise<ReadonlyMap<string, Row>> {
    const { rows } = await this.#admin.query<Record<"name" | "id" | "token", string>>(
      `SELECT convert_from(resource, 'UTF8') AS name, lease_id AS id, token::text AS token ${HELD}`,
    );
    return new Map(rows.map(({ name, id, token }) => [name, { leaseId: id, token }]));
  }

  async endsMs(): Promise<ReadonlyMap<string, number>> {
    const { rows } = await this.#admin.query<Record<"name" | "ends", string>>(
      `SELECT convert_from(resource, 'UTF8') AS name, expires_us / 1000 AS ends ${HELD}`,
    );
    return new Map(rows.map(({ name, ends }) => [name, Number(ends)]));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}

export const postgresql: DatabaseKind = {
  title: "PostgreSQL",
  overlay: "overlays/postgresql",
  missing: missingPostgresql(),
  passwordVariable: "PGPASSWORD",
  start: (order) => Postgresql.start(order),
};
