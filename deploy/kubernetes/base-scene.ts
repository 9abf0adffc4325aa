// The daemon's Deployment over its database, with its Services, on a node of the test's own; and
// pods of others that ask it.

import { mkdir } from "node:fs/promises";
import { createConnection, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Client } from "pg";
import { Authority } from "../../test/rpc/support/certificates.js";
import { CliHome } from "../../test/support/cli.js";
import { missingPostgresql, PostgresqlServer } from "../../test/support/servers/postgresql.js";
import { PlayDeployment } from "./play/deployment.js";
import { onlyOf, type Manifest, type PodSpec } from "./play/model.js";
import { PlayNode } from "./play/namespaces.js";
import { PlayPod } from "./play/pod.js";
import { PlayServices } from "./play/services.js";
import { manifestsOf, missingPlay, prepareProgram } from "./scene.js";

/** Why it cannot be played here; undefined when it can. */
export const missingBase = missingPlay ?? missingPostgresql();

const SECRET = "stormlock-database";
const PASSWORD = "pass/word 'of' @the Secret";

/** A lock, as the database has it. */
export interface Row {
  readonly leaseId: string;
  readonly token: string;
  /** When it ends, by the database's own clock. */
  readonly endsMs: number;
}

export class BaseScene implements AsyncDisposable {
  readonly node: PlayNode;
  readonly deployment: PlayDeployment;
  readonly database: PostgresqlServer;
  readonly #admin: Client;
  readonly #owned: AsyncDisposable[];

  private constructor(parts: Pick<BaseScene, "node" | "deployment" | "database">, own: Own) {
    this.node = parts.node;
    this.deployment = parts.deployment;
    this.database = parts.database;
    this.#admin = own.admin;
    this.#owned = own.owned;
  }

  /** Everything is made, and the manifests of a folder are applied; nothing is waited for. */
  static async open(folder: string): Promise<BaseScene> {
    const owned: AsyncDisposable[] = [];
    try {
      return await BaseScene.#open(folder, owned);
    } catch (error) {
      await disposeOf(owned);
      throw error;
    }
  }

  static async #open(folder: string, owned: AsyncDisposable[]): Promise<BaseScene> {
    const own = <T extends AsyncDisposable>(made: T): T => {
      owned.push(made);
      return made;
    };
    const program = await prepareProgram();
    const manifests = await manifestsOf(folder);
    const place = placeOf(manifests);
    const home = own(await CliHome.make());
    await mkdir(join(home.path, "node"));
    const node = own(await PlayNode.make(join(home.path, "node"), program));
    using authority = new Authority();
    const database = own(await databaseFor(place, authority));
    const admin = own(await database.connect(database.url({ database: place.name })));
    own(await leadFromNode(node, place.port, database.port));
    const deployment = own(
      new PlayDeployment(node, {
        ...{ manifests, manifest: onlyOf(manifests, "Deployment") },
        secrets: { [SECRET]: { password: PASSWORD, "ca.crt": String(authority.cert) } },
      }),
    );
    const others = { [place.host]: [node.address] };
    const pods = (): readonly PlayPod[] => deployment.pods;
    own(await PlayServices.open(node, { manifests, pods, others }));
    return new BaseScene({ node, deployment, database }, { admin, owned });
  }

  /** A pod of somebody else's. */
  async pod(name: string, spec: PodSpec, manifests: readonly Manifest[]): Promise<PlayPod> {
    const pod = await PlayPod.start(this.node, { name, spec, manifests });
    this.#owned.push(pod);
    return pod;
  }

  /** All locks that are held at this moment, as no daemon but the database itself says. */
  async held(): Promise<ReadonlyMap<string, Row>> {
    const { rows } = await this.#admin.query<Record<"name" | "id" | "token" | "ends", string>>(
      `SELECT convert_from(resource, 'UTF8') AS name, lease_id AS id, token::text AS token,
              expires_us / 1000 AS ends
         FROM stormlock_leases
        WHERE expires_us > extract(epoch FROM clock_timestamp()) * 1e6
          AND convert_from(resource, 'UTF8') <> ''
        ORDER BY name`,
    );
    return new Map(
      rows.map(({ name, id, token, ends }) => {
        return [name, { leaseId: id, token, endsMs: Number(ends) }];
      }),
    );
  }

  /** What has happened on the node, and what its daemons have said: for whoever reads a failure. */
  story(): string {
    const said = this.deployment.pods.flatMap((pod) => [
      `${pod.name}:`,
      ...pod.linesOf("stormlock").map((line) => `  ${line}`),
    ]);
    return [...this.node.events, ...said].join("\n");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return disposeOf(this.#owned);
  }
}

interface Own {
  readonly admin: Client;
  readonly owned: AsyncDisposable[];
}

async function disposeOf(owned: readonly AsyncDisposable[]): Promise<void> {
  const problems: unknown[] = [];
  for (const each of owned.toReversed()) {
    try {
      await each[Symbol.asyncDispose]();
    } catch (thrown) {
      problems.push(thrown);
    }
  }
  if (problems.length > 0) throw new AggregateError(problems, "not all was closed in order");
}

/** Where the configuration says that the database is. */
interface Place {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly name: string;
}

function placeOf(manifests: readonly Manifest[]): Place {
  const text = onlyOf(manifests, "ConfigMap").data?.["config.toml"] ?? "";
  const [, connection = ""] = /^connection = "(.+)"$/mu.exec(text) ?? [];
  const { hostname, port, username, pathname } = new URL(connection);
  return { host: hostname, port: Number(port), user: username, name: pathname.slice(1) };
}

/** A server with a certificate for that host, and with that user's database, which is empty. */
async function databaseFor(place: Place, authority: Authority): Promise<PostgresqlServer> {
  const { host, user, name } = place;
  const { cert, key } = authority.issue(`/CN=${host}`, `DNS:${host}`);
  const database = await PostgresqlServer.start({
    config: { ssl: "on" },
    files: { "server.crt": String(cert), "server.key": String(key) },
  });
  try {
    const quoted = `'${PASSWORD.replaceAll("'", "''")}'`;
    await database.run(`CREATE ROLE ${user} LOGIN PASSWORD ${quoted}`);
    await database.run(`CREATE DATABASE ${name} OWNER ${user}`);
    return database;
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Leads from a port of the node to one of this test's own loopback, which is another network: by a
 * socket in a folder, which processes of all networks see.
 */
async function leadFromNode(node: PlayNode, from: number, to: number): Promise<AsyncDisposable> {
  const path = join(node.folder, `port-${String(from)}`);
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = createConnection({ host: "127.0.0.1", port: to, allowHalfOpen: true });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      one
        .on("error", () => undefined)
        .once("close", () => {
          sockets.delete(one);
          other.destroy();
        });
    }
  });
  await new Promise<void>((listening) => server.listen(path, listening));
  await node.agent.lead(`${node.address}:${String(from)}`, [`unix:${path}`]);
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise((done) => server.close(done));
      for (const each of sockets) each.destroy();
      await closed;
    },
  };
}
