// Real etcd: one member or a cluster of them, on free loopback ports, with throw-away data.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Etcd3, type IOptions } from "etcd3";
import { freePort } from "../free-port.js";
import { freeze } from "../freeze.js";
import { skipped } from "../ci.js";

const READY_WITHIN_MS = 30_000;

/** Why there is no server for the tests, in one line; undefined when there is one. */
export function missingEtcd(): string | undefined {
  if (spawnSync("etcd", ["--version"]).status === 0) return undefined;
  return skipped("etcd is not installed (Debian: etcd-server)");
}

export interface EtcdOptions {
  /** How many members; 1 when left out. */
  readonly members?: number;
  /** Further flags of each, e.g. for TLS. */
  readonly flags?: readonly string[];
  readonly isEncrypted?: boolean;
}

interface MemberPorts {
  readonly name: string;
  readonly client: number;
  readonly peer: number;
  readonly metrics: number;
}

/** One member, which can be stopped and started again with its data. */
export class EtcdMember {
  readonly address: string;
  readonly #args: readonly string[];
  readonly #metrics: string;
  #child: ChildProcess | undefined;

  constructor(ports: MemberPorts, args: readonly string[]) {
    this.address = `127.0.0.1:${String(ports.client)}`;
    this.#metrics = `http://127.0.0.1:${String(ports.metrics)}`;
    this.#args = args;
  }

  get port(): number {
    return Number(this.address.split(":")[1]);
  }

  start(): void {
    this.#child = spawn("etcd", this.#args, { stdio: "ignore" });
  }

  /** Until it has a leader and answers. */
  async ready(): Promise<void> {
    for (let waitedMs = 0; !(await this.#isHealthy()); waitedMs += 20) {
      const hasEnded = typeof this.#child?.exitCode === "number";
      if (hasEnded || waitedMs > READY_WITHIN_MS) {
        throw new Error("etcd did not start");
      }
      await pause(20);
    }
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  freeze(): void {
    if (this.#child?.pid !== undefined) freeze(this.#child.pid);
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  async isLeader(): Promise<boolean> {
    const text = await fetch(`${this.#metrics}/metrics`).then((answer) => answer.text());
    return /^etcd_server_is_leader 1$/mu.test(text);
  }

  async #isHealthy(): Promise<boolean> {
    try {
      const answer = await fetch(`${this.#metrics}/health`, { signal: AbortSignal.timeout(1000) });
      return ((await answer.json()) as { health?: unknown }).health === "true";
    } catch {
      return false;
    }
  }
}

export class EtcdServer implements AsyncDisposable {
  readonly members: readonly EtcdMember[];
  readonly #directory: string;
  readonly #isEncrypted: boolean;
  readonly #admins: Etcd3[] = [];

  private constructor(members: readonly EtcdMember[], directory: string, isEncrypted: boolean) {
    this.members = members;
    this.#directory = directory;
    this.#isEncrypted = isEncrypted;
  }

  static async start(options: EtcdOptions = {}): Promise<EtcdServer> {
    const { members: count = 1, flags = [], isEncrypted = false } = options;
    const directory = await mkdtemp(join(tmpdir(), "stormlock-etcd-"));
    const ports: MemberPorts[] = [];
    for (let n = 0; n < count; n++) {
      ports.push({
        ...{ name: `m${String(n)}`, client: await freePort() },
        ...{ peer: await freePort(), metrics: await freePort() },
      });
    }
    const members = ports.map(
      (own) => new EtcdMember(own, [...argsOf(own, ports, directory, isEncrypted), ...flags]),
    );
    const server = new EtcdServer(members, directory, isEncrypted);
    try {
      for (const member of members) member.start();
      await Promise.all(members.map((member) => member.ready()));
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The only member's, or the first one's. */
  get address(): string {
    return this.#first.address;
  }

  get port(): number {
    return this.#first.port;
  }

  get hosts(): readonly string[] {
    return this.members.map(({ address }) => address);
  }

  /** The leader, when there is one again. */
  async leader(): Promise<EtcdMember> {
    for (let waitedMs = 0; waitedMs < READY_WITHIN_MS; waitedMs += 50) {
      for (const member of this.members) if (await member.isLeader()) return member;
      await pause(50);
    }
    throw new Error("no leader");
  }

  freeze(): void {
    for (const member of this.members) member.freeze();
  }

  thaw(): void {
    for (const member of this.members) member.thaw();
  }

  async kill(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
  }

  /** Starts what was killed, with its data. */
  async restart(): Promise<void> {
    await this.kill();
    for (const member of this.members) member.start();
    await Promise.all(this.members.map((member) => member.ready()));
  }

  /** The store past our own code. Closed with the server. */
  admin(options: Partial<IOptions> = {}): Etcd3 {
    const scheme = this.#isEncrypted ? "https" : "http";
    const admin = new Etcd3({ hosts: `${scheme}://${this.address}`, ...options });
    this.#admins.push(admin);
    return admin;
  }

  /** How many etcd leases there are. */
  async leases(): Promise<number> {
    const admin = new Etcd3({ hosts: `http://${this.address}` });
    try {
      return (await admin.leaseClient.leaseLeases()).leases.length;
    } finally {
      admin.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const admin of this.#admins) admin.close();
    this.thaw();
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }

  get #first(): EtcdMember {
    const [first] = this.members;
    if (first === undefined) throw new Error("no members");
    return first;
  }
}

function argsOf(
  own: MemberPorts,
  all: readonly MemberPorts[],
  directory: string,
  isEncrypted: boolean,
): string[] {
  const client = `${isEncrypted ? "https" : "http"}://127.0.0.1:${String(own.client)}`;
  const peer = (ports: MemberPorts): string => `http://127.0.0.1:${String(ports.peer)}`;
  const flags = {
    name: own.name,
    "data-dir": join(directory, own.name),
    "listen-client-urls": client,
    "advertise-client-urls": client,
    "listen-peer-urls": peer(own),
    "initial-advertise-peer-urls": peer(own),
    "listen-metrics-urls": `http://127.0.0.1:${String(own.metrics)}`,
    "initial-cluster": all.map((each) => `${each.name}=${peer(each)}`).join(","),
    "log-level": "error",
  };
  return Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
}
