// A node of a cluster, and its pods' sandboxes, as namespaces that end with the test.

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { closeSync, constants, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { NodeAgent } from "./agent.js";

const run = promisify(execFile);
const WITHIN_MS = 60_000;
const MOST_HOSTS_BYTES = 4096;
const HARDWARE_ADDRESS = "02:00:0a:2a:00:01";

/** Why no pod can be played here; undefined when they can. */
export async function missingNamespaces(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "root, on Linux";
  const script = "ip link add bridge0 type bridge && ip link add probe0 type veth peer name probe1";
  try {
    await run("unshare", [
      "--net",
      "--mount",
      "--pid",
      "--fork",
      "--mount-proc",
      "sh",
      "-c",
      script,
    ]);
    for (const program of ["setpriv", "nsenter"]) await run(program, ["--version"]);
    return undefined;
  } catch (thrown) {
    return `namespaces and their programs: ${(thrown as Error).message.trim()}`;
  }
}

/** Namespaces that live until they are disposed of, or this process ends. */
class Sandbox implements AsyncDisposable {
  readonly pid: number;
  readonly #process: ChildProcess;

  private constructor(own: ChildProcess, pid: number) {
    this.#process = own;
    this.pid = pid;
  }

  // `cat` ends when this process does, however it does.
  static async make(kinds: readonly string[]): Promise<Sandbox> {
    const script = "ip link set lo up && echo up && cat";
    const own = spawn("unshare", [...kinds, "--fork", "--kill-child", "sh", "-c", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await new Promise<void>((up, failed) => {
      own.stdout.once("data", () => {
        up();
      });
      own.once("exit", () => {
        failed(new Error("a sandbox could not be made"));
      });
    });
    return new Sandbox(own, onlyChildOf(own.pid ?? 0));
  }

  enter(...kinds: readonly ("net" | "pid")[]): string[] {
    return ["nsenter", ...kinds.map((kind) => `--${kind}=/proc/${String(this.pid)}/ns/${kind}`)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill("SIGKILL");
    await ended;
  }
}

/** The process that `unshare --fork` or `nsenter --pid` has forked, and waits for. */
export function onlyChildOf(pid: number): number {
  const text = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8");
  return Number(text.trim().split(" ")[0] ?? 0);
}

/** A pod's network, and its processes where its containers share them. */
export interface PodSandbox extends AsyncDisposable {
  readonly address: string;
  /** What a command of the pod begins with. */
  readonly entering: readonly string[];
  /** Whether its containers see each other's processes. */
  readonly sharesProcesses: boolean;
  /** No packet passes any more, and nobody is told. */
  cut(): Promise<void>;
}

export class PlayNode implements AsyncDisposable {
  /** What all of it is written to. */
  readonly folder: string;
  /** Where its own processes can be reached from pods. */
  readonly address = "10.42.0.1";
  /** What has happened, in order: `POD/CONTAINER started`, `POD/CONTAINER ended CODE`, … */
  readonly events: string[] = [];
  /** The file that is /stormlock in containers; undefined for the program as this Node runs it. */
  readonly program: string | undefined;
  readonly agent: NodeAgent;
  readonly #sandbox: Sandbox;
  #pods = 0;

  private constructor(folder: string, sandbox: Sandbox, program: string | undefined) {
    this.folder = folder;
    this.#sandbox = sandbox;
    this.program = program;
    this.agent = new NodeAgent(this.entering);
  }

  /**
   * @param folder of the test's own
   * @param program the single file, where there is one
   */
  static async make(folder: string, program?: string): Promise<PlayNode> {
    const sandbox = await Sandbox.make(["--net", "--mount"]);
    const node = new PlayNode(folder, sandbox, program);
    // With an address of its own. Else it takes the least of those of the pods that are there, and
    // when these come or go, the others send to an address that is nobody's until they ask again.
    await node.run("ip", "link", "add", "bridge0", "address", HARDWARE_ADDRESS, "type", "bridge");
    await node.run("ip", "link", "set", "bridge0", "up");
    await node.addAddress(node.address);
    node.resolve({});
    return node;
  }

  /** What a command begins with that runs on the node, outside of any pod. */
  get entering(): readonly string[] {
    return this.#sandbox.enter("net");
  }

  /** Runs a command on the node. @returns what it has printed */
  async run(...command: readonly string[]): Promise<string> {
    const [program = "", ...args] = [...this.entering, ...command];
    return (await run(program, args, { timeout: WITHIN_MS })).stdout;
  }

  /** Another address of the node's, that pods reach. */
  async addAddress(address: string): Promise<void> {
    await this.run("ip", "address", "add", `${address}/24`, "dev", "bridge0");
  }

  /** The cluster's DNS: the addresses of each name, for all pods from now on. */
  resolve(names: Readonly<Record<string, readonly string[]>>): void {
    const lines = Object.entries(names).flatMap(([name, addresses]) =>
      addresses.map((address) => `${address} ${name}\n`),
    );
    const text = `127.0.0.1 localhost\n${lines.join("")}`;
    if (text.length > MOST_HOSTS_BYTES) throw new Error("the file of hosts is full");
    // Over what was there in one write and of the same length: nobody reads half of it.
    const file = openSync(this.hosts, constants.O_WRONLY | constants.O_CREAT, 0o644);
    writeSync(file, text.padEnd(MOST_HOSTS_BYTES, "\n"), 0);
    closeSync(file);
  }

  get hosts(): string {
    mkdirSync(this.folder, { recursive: true });
    return join(this.folder, "hosts");
  }

  async sandbox(sharesProcesses: boolean): Promise<PodSandbox> {
    const own = await Sandbox.make(["--net", "--mount", ...(sharesProcesses ? ["--pid"] : [])]);
    const number = (this.#pods += 1);
    const [link, address] = [`pod${String(number)}`, `10.42.0.${String(number + 1)}`];
    const inPod = (...command: string[]): Promise<unknown> =>
      run("nsenter", [...own.enter("net").slice(1), ...command], { timeout: WITHIN_MS });
    const peer = ["peer", "name", "eth0", "netns", String(own.pid)];
    await this.run("ip", "link", "add", link, "type", "veth", ...peer);
    await this.run("ip", "link", "set", link, "master", "bridge0", "up");
    await inPod("ip", "address", "add", `${address}/24`, "dev", "eth0");
    await inPod("ip", "link", "set", "eth0", "up");
    return {
      ...{ address, sharesProcesses },
      entering: own.enter(...(sharesProcesses ? (["net", "pid"] as const) : (["net"] as const))),
      cut: async () => {
        await this.run("ip", "link", "set", link, "down");
      },
      [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]();
    await this.#sandbox[Symbol.asyncDispose]();
  }
}
