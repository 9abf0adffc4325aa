// The daemon's Deployment over its database, with its Services, on a node of the test's own; and
// pods of others that ask it.

import { mkdir } from "node:fs/promises";
import { createConnection, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { Authority } from "../../test/rpc/support/certificates.js";
import { CliHome } from "../../test/support/cli.js";
import type { Database, DatabaseKind, DatabaseServer } from "./databases/database.js";
import { PlayDeployment } from "./play/deployment.js";
import { onlyOf, type Manifest, type PodSpec } from "./play/model.js";
import { PlayNode } from "./play/namespaces.js";
import { PlayPod } from "./play/pod.js";
import { PlayServices } from "./play/services.js";
import { manifestsOf, prepareProgram } from "./scene.js";

const SECRET = "stormlock-database";
// Beside those of Services and pods.
const FIRST_DATABASE_ADDRESS = 190;
const PASSWORD = "pass/word 'of' @the Secret";

export class BaseScene implements AsyncDisposable {
  readonly node: PlayNode;
  readonly deployment: PlayDeployment;
  readonly database: Database;
  readonly #owned: AsyncDisposable[];

  private constructor(
    parts: Pick<BaseScene, "node" | "deployment" | "database">,
    owned: AsyncDisposable[],
  ) {
    this.node = parts.node;
    this.deployment = parts.deployment;
    this.database = parts.database;
    this.#owned = owned;
  }

  /** Everything is made, and the overlay's manifests are applied; nothing is waited for. */
  static async open(kind: DatabaseKind): Promise<BaseScene> {
    const owned: AsyncDisposable[] = [];
    try {
      return await BaseScene.#open(kind, owned);
    } catch (error) {
      await disposeOf(owned);
      throw error;
    }
  }

  static async #open(kind: DatabaseKind, owned: AsyncDisposable[]): Promise<BaseScene> {
    const own = <T extends AsyncDisposable>(made: T): T => {
      owned.push(made);
      return made;
    };
    const program = await prepareProgram();
    const manifests = await manifestsOf(kind.overlay);
    const home = own(await CliHome.make());
    await mkdir(join(home.path, "node"));
    const node = own(await PlayNode.make(join(home.path, "node"), program));
    using authority = new Authority();
    const config = onlyOf(manifests, "ConfigMap").data?.["config.toml"] ?? "";
    const database = own(await kind.start({ config, password: PASSWORD, authority }));
    const others: Record<string, readonly string[]> = {};
    for (const [at, server] of database.servers.entries()) {
      const address = `10.42.0.${String(FIRST_DATABASE_ADDRESS + at)}`;
      await node.addAddress(address);
      own(await leadFromNode(node, address, server));
      others[server.host] = [address];
    }
    const deployment = own(
      new PlayDeployment(node, {
        ...{ manifests, manifest: onlyOf(manifests, "Deployment") },
        secrets: { [SECRET]: { password: PASSWORD, "ca.crt": String(authority.cert) } },
      }),
    );
    const pods = (): readonly PlayPod[] => deployment.pods;
    own(await PlayServices.open(node, { manifests, pods, others }));
    return new BaseScene({ node, deployment, database }, owned);
  }

  /** A pod of somebody else's. */
  async pod(name: string, spec: PodSpec, manifests: readonly Manifest[]): Promise<PlayPod> {
    const pod = await PlayPod.start(this.node, { name, spec, manifests });
    this.#owned.push(pod);
    return pod;
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

/**
 * Leads from an address of the node's to a server on this test's own loopback, which is another
 * network: by a socket in a folder, which processes of all networks see.
 */
async function leadFromNode(
  node: PlayNode,
  address: string,
  { port, realPort }: DatabaseServer,
): Promise<AsyncDisposable> {
  const path = join(node.folder, `port-${String(realPort)}`);
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = createConnection({ host: "127.0.0.1", port: realPort, allowHalfOpen: true });
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
  await node.agent.lead(`${address}:${String(port)}`, [`unix:${path}`]);
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise((done) => server.close(done));
      for (const each of sockets) each.destroy();
      await closed;
    },
  };
}
