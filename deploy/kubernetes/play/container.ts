// One run of a container: its own root, its user, its volumes, its variables.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { constants } from "node:os";
import { join, resolve } from "node:path";
import { entryPointOf, imageEnvOf, type Container } from "./model.js";
import { onlyChildOf, type PlayNode, type PodSandbox } from "./namespaces.js";

const ROOT_SCRIPT = resolve("deploy/kubernetes/play/container-root.sh");
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface ContainerPlace {
  readonly node: PlayNode;
  readonly sandbox: PodSandbox;
  readonly user: number;
  /** What the manifest's variables stand for. */
  readonly env: Readonly<Record<string, string>>;
  /** Folders of the node by the names of volumes. */
  readonly volumes: ReadonlyMap<string, string>;
}

export class RunningContainer {
  /** The exit code; 128+n when a signal ended it. */
  readonly ended: Promise<number>;
  /** What it has printed, on both streams. */
  readonly lines: string[];
  readonly #child: ChildProcess;
  #main: number | undefined;

  /** @param lines takes what it prints */
  constructor(container: Container, place: ContainerPlace, lines: string[]) {
    this.lines = lines;
    const { node, sandbox, user, env, volumes } = place;
    const mounts = (container.volumeMounts ?? []).flatMap(({ name, mountPath, readOnly }) => [
      ...[volumes.get(name) ?? "", mountPath, readOnly === true ? "ro" : "rw"],
    ]);
    // Kubernetes puts variables that it knows into arguments, and leaves all others alone.
    const words = [...entryPointOf(container), ...(container.args ?? [])].map((word) =>
      word.replace(/\$\((\w+)\)/gu, (whole, name: string) => env[name] ?? whole),
    );
    const isWritable = container.securityContext?.readOnlyRootFilesystem !== true;
    const [program = "", ...args] = [
      ...sandbox.entering,
      ...["unshare", "--mount"],
      ...(sandbox.sharesProcesses ? [] : ["--pid", "--fork", "--kill-child"]),
      ...["sh", ROOT_SCRIPT, mkdtempSync(join(node.folder, "root-")), String(user)],
      ...[String(isWritable), process.execPath, resolve("."), node.program ?? ""],
      ...[node.hosts, "/etc/hosts", "ro", ...mounts, "--", ...words],
    ];
    this.#child = spawn(program, args, {
      env: { PATH: `/opt/bin:${SYSTEM_PATH}`, ...imageEnvOf(container), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) collect(stream, lines);
    this.ended = new Promise((done, failed) => {
      this.#child.once("error", failed);
      this.#child.once("exit", (code, signal) => {
        done(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      });
    });
  }

  /** Its first process, as the node numbers it. */
  get pid(): number {
    // Asked for late, since it is forked only when the namespaces are there.
    if (this.#main === undefined || this.#main === 0)
      this.#main = onlyChildOf(this.#child.pid ?? 0);
    return this.#main;
  }

  /** To its first process alone, as a container runtime does. */
  kill(signal: NodeJS.Signals): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    try {
      const { pid } = this;
      if (pid > 0) process.kill(pid, signal);
    } catch (error) {
      // It has ended in this very moment.
      if (!["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }

  /** Ends it and what holds it, whatever state that is in. */
  async destroy(): Promise<void> {
    this.kill("SIGKILL");
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

function collect(stream: ChildProcess["stdout"], lines: string[]): void {
  let rest = "";
  stream?.setEncoding("utf8").on("data", (text: string) => {
    const [...whole] = `${rest}${text}`.split("\n");
    rest = whole.pop() ?? "";
    lines.push(...whole);
  });
}
