// `stormlock hold` and daemons as their users run them, to be killed, stopped and started again.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CliHome, PROGRAM, type DaemonProcess, type Ended, type Running } from "./cli.js";

/** Whether the tests may take the time that they need to be sure. */
export const isLong = process.env["STORMLOCK_LONG"] === "1";

export interface HoldFlags {
  /** The daemons to ask; without any the command opens the store itself. */
  readonly servers?: readonly string[];
  readonly ttl?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** A home, a store in it, and any number of daemons and commands over that store. */
export class HoldHome implements AsyncDisposable {
  readonly cli: CliHome;
  readonly config: string;
  readonly #beat: string;

  private constructor(cli: CliHome, config: string, beat: string) {
    this.cli = cli;
    this.config = config;
    this.#beat = beat;
  }

  static async make(): Promise<HoldHome> {
    const cli = await CliHome.make();
    const store = join(cli.path, "locks.db");
    const config = await cli.file(
      "store.toml",
      `[default]\nbackend = "here"\n[backend.here]\ntype = "sqlite"\npath = "${store}"\n`,
    );
    return new HoldHome(cli, config, await cli.file("beat.mjs", BEAT));
  }

  /** Starts a daemon over the store: on a port of its own, or on one that was in use before. */
  async daemon(address?: string): Promise<DaemonProcess> {
    const listen = address === undefined ? [] : ["--listen", address];
    return this.cli.daemon(["-c", this.config, ...listen], { mostMs: 300_000 });
  }

  /** Starts `stormlock hold`, in a session without a terminal. */
  hold(resources: string | readonly string[], how: HoldFlags, command: readonly string[]): Running {
    const { servers = [], ttl, flags = [], env, input } = how;
    const words = [
      ...(typeof resources === "string" ? [resources] : resources),
      ...["-c", this.config],
      ...(servers.length === 0 ? [] : ["--server", servers.join(",")]),
      ...(ttl === undefined ? [] : ["--ttl", ttl]),
      ...flags,
    ];
    return this.cli.start(["hold", ...words, "--", ...command], {
      program: ["setsid", process.execPath, PROGRAM],
      ...(env === undefined ? {} : { env }),
      ...(input === undefined ? {} : { input }),
    });
  }

  run(
    resources: string | readonly string[],
    how: HoldFlags,
    command: readonly string[],
  ): Promise<Ended> {
    return this.hold(resources, how, command).ended;
  }

  /**
   * A command that writes down every 10 ms that it lives, for so long, and then exits.
   * (See `life`.)
   */
  beat(name: string, forMs: number, code = 0): string[] {
    return [process.execPath, this.#beat, this.path(name), String(forMs), String(code)];
  }

  path(name: string): string {
    return join(this.cli.path, `${name}.out`);
  }

  has(file: string): boolean {
    return existsSync(file);
  }

  /** What is in a file; nothing when there is none. */
  read(file: string): string {
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** What a `beat` has written down: its pid, and when it lived, by the host's monotonic clock. */
  life(name: string): Life | undefined {
    const file = this.path(name);
    if (!existsSync(file)) return undefined;
    const [head = "", ...lines] = readFileSync(file, "utf8").split("\n").slice(0, -1);
    const [pid, token] = head.split(" ");
    const atMs = lines.map(Number);
    const [firstMs] = atMs;
    const lastMs = atMs.at(-1);
    if (firstMs === undefined || lastMs === undefined) return undefined;
    return { pid: Number(pid), token: token ?? "", firstMs, lastMs };
  }

  /** Waits until a `beat` lives. */
  born(name: string, withinMs = 30_000): Promise<Life> {
    return until(`${name} lives`, () => this.life(name), withinMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cli[Symbol.asyncDispose]();
  }
}

export interface Life {
  readonly pid: number;
  /** The fencing token in its environment. */
  readonly token: string;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** The processes that one has started and that live yet. */
export function childrenOf(pid: number): number[] {
  try {
    const file = `/proc/${String(pid)}/task/${String(pid)}/children`;
    return readFileSync(file, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** The words with which a process was started; nothing when it is gone. */
function wordsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** The guardian of a \`stormlock hold\`; 0 when there is none. */
export function guardianOf(pid: number): number {
  return childrenOf(pid).find((child) => wordsOf(child).includes("guardian")) ?? 0;
}

/** The command that a \`stormlock hold\` runs; 0 when there is none. */
export function commandOf(pid: number): number {
  return childrenOf(pid).find((child) => !wordsOf(child).includes("guardian")) ?? 0;
}

/** The host's monotonic clock, that all its processes share. */
export function hostMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

export async function until<T>(
  what: string,
  find: () => T | undefined | false,
  withinMs = 30_000,
): Promise<T> {
  const endsMs = hostMs() + withinMs;
  for (;;) {
    const found = find();
    if (found !== undefined && found !== false) return found;
    if (hostMs() > endsMs) throw new Error(`waited in vain until ${what}`);
    await pause(10);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whether a process lives: neither gone nor a zombie. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
    return !/\) [ZX] /u.test(stat);
  } catch {
    return false;
  }
}

const BEAT = `
import { appendFileSync } from "node:fs";
const [, , file, forMs, code] = process.argv;
const now = () => Number(process.hrtime.bigint() / 1000n) / 1000;
const endsMs = now() + Number(forMs);
const write = (line) => appendFileSync(file, line + "\\n");
write(process.pid + " " + process.env.STORMLOCK_FENCING_TOKEN);
const beat = () => {
  write(now());
  if (now() >= endsMs) process.exit(Number(code));
};
beat();
setInterval(beat, 10);
`;
