import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Etcd3 } from "etcd3";
import { withUsers } from "../../../test/backends/etcd/users.js";
import { EtcdServer, missingEtcd } from "../../../test/support/servers/etcd.js";
import { valueIn, type Database, type DatabaseKind, type DatabaseOrder } from "./database.js";
import type { DatabaseServer, Row } from "./database.js";

const HELD = "stormlock/held/";

interface HeldKey extends Row {
  readonly resource: string;
  readonly etcdLease: string;
}

class Etcd implements Database {
  readonly servers: readonly DatabaseServer[];
  readonly #cluster: EtcdServer;
  readonly #root: Etcd3;
  readonly #certificates: string;

  private constructor(
    servers: readonly DatabaseServer[],
    own: { readonly cluster: EtcdServer; readonly root: Etcd3; readonly certificates: string },
  ) {
    this.servers = servers;
    this.#cluster = own.cluster;
    this.#root = own.root;
    this.#certificates = own.certificates;
  }

  static async start(order: DatabaseOrder): Promise<Etcd> {
    const certificates = await mkdtemp(join(tmpdir(), "stormlock-etcd-tls-"));
    let cluster: EtcdServer | undefined;
    try {
      const hosts = (JSON.parse(valueIn(order.config, "hosts")) as string[]).map(
        (host) => new URL(host),
      );
      const names = hosts.map(({ hostname }) => `DNS:${hostname}`);
      const { cert, key } = order.authority.issue("/CN=etcd", [...names, "IP:127.0.0.1"].join(","));
      const [certFile, keyFile] = [join(certificates, "etcd.crt"), join(certificates, "etcd.key")];
      await writeFile(certFile, cert);
      await writeFile(keyFile, key);
      cluster = await EtcdServer.start({
        members: hosts.length,
        flags: ["--cert-file", certFile, "--key-file", keyFile],
        isEncrypted: true,
      });
      const root = await withUsers(
        cluster,
        { credentials: { rootCertificate: order.authority.cert } },
        { user: JSON.parse(valueIn(order.config, "user")) as string, password: order.password },
      );
      const servers = cluster.members.map(({ port: realPort }, at) => ({
        host: hosts[at]?.hostname ?? "",
        port: Number(hosts[at]?.port),
        realPort,
      }));
      return new Etcd(servers, { cluster, root, certificates });
    } catch (error) {
      await cluster?.[Symbol.asyncDispose]();
      await rm(certificates, { recursive: true });
      throw error;
    }
  }

  async held(): Promise<ReadonlyMap<string, Row>> {
    const keys = await this.#keys();
    return new Map(keys.map(({ resource, leaseId, token }) => [resource, { leaseId, token }]));
  }

  async endsMs(): Promise<ReadonlyMap<string, number>> {
    const ends = (await this.#keys()).map(async ({ resource, etcdLease }) => {
      const { TTL } = await this.#root.leaseClient.leaseTimeToLive({ ID: etcdLease });
      return [resource, Date.now() + Number(TTL) * 1000] as const;
    });
    return new Map(await Promise.all(ends));
  }

  async #keys(): Promise<readonly HeldKey[]> {
    const { kvs } = await this.#root.getAll().prefix(HELD).exec();
    return kvs.map(({ value, lease, create_revision: token }) => {
      const { resource, leaseId } = JSON.parse(value.toString()) as HeldKey;
      return { resource, leaseId, token, etcdLease: lease };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster[Symbol.asyncDispose]();
    await rm(this.#certificates, { recursive: true });
  }
}

export const etcd: DatabaseKind = {
  title: "etcd",
  overlay: "overlays/etcd",
  missing: missingEtcd(),
  passwordVariable: "ETCD_PASSWORD",
  start: (order) => Etcd.start(order),
};
