// A machine with a systemd of its own, as namespaces of this one: units are started by what starts
// them in earnest. It boots in less than a second, over a layer that is thrown away.

import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { skipped } from "../../../test/support/ci.js";

const SYSTEMD = "/lib/systemd/systemd";
const NEEDED = ["unshare", "nsenter", "pivot_root", "ip", "make"];
const CHECKOUT = resolve(import.meta.dirname, "../../..");

// Much longer than a boot takes on a crowded machine.
const BOOT_MS = 60_000;
const COMMAND_MS = 60_000;

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Why no machine can be made here; undefined when one has been.
 * @throws Error in CI, where one must be
 */
export async function whyNoMachine(): Promise<string | undefined> {
  const why = await whatHinders();
  return why === undefined ? undefined : skipped(why);
}

async function whatHinders(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "only root can make namespaces with a systemd in them";
  const lacking = NEEDED.filter(
    (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0,
  );
  if (!existsSync(SYSTEMD)) lacking.push("systemd");
  if (lacking.length > 0) return `not installed: ${lacking.join(", ")}`;
  try {
    await using machine = await Machine.boot();
    await machine.must("true");
    return undefined;
  } catch (error) {
    return `no systemd starts in namespaces here: ${(error as Error).message}`;
  }
}

export class Machine implements AsyncDisposable {
  readonly #folder: string;
  readonly #name: string;
  readonly #outside: ChildProcess;
  #said = "";
  #pid = 0;

  private constructor(folder: string, name: string, shared: string) {
    this.#folder = folder;
    this.#name = name;
    const boot = join(import.meta.dirname, "boot.sh");
    const disk = join(folder, "disk");
    this.#outside = spawn(
      "unshare",
      // prettier-ignore
      ["--mount", "--net", "--uts", "sh", boot, disk, name, process.execPath, CHECKOUT, shared],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    for (const stream of [this.#outside.stdout, this.#outside.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => (this.#said += text));
    }
  }

  /**
   * Boots.
   * @param shared a folder of the host that is the machine's /srv; an empty one when not given
   * @throws Error with what was said when it does not come up
   */
  static async boot(shared?: string): Promise<Machine> {
    const folder = await mkdtemp(join(tmpdir(), "stormlock-machine-"));
    await mkdir(join(folder, "disk"));
    await mkdir(join(folder, "srv"));
    const name = `stormlock-${randomBytes(4).toString("hex")}`;
    const machine = new Machine(folder, name, shared ?? join(folder, "srv"));
    try {
      await machine.#untilUp();
      return machine;
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs a line of shell there, as root. */
  async run(line: string): Promise<Ended> {
    const child = spawn("nsenter", this.#inside(line), {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: COMMAND_MS,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const code = await new Promise<number>((done, failed) => {
      child.once("error", failed);
      child.once("close", (exitCode) => {
        done(exitCode ?? -1);
      });
    });
    return { code, stdout, stderr };
  }

  /**
   * Runs a line of shell that must succeed.
   * @returns what it printed to stdout, without the last line break
   */
  async must(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(line);
    if (code === 0) return stdout.trimEnd();
    throw new Error(`${line}: exit code ${String(code)}\n${stdout}${stderr}${await this.#log()}`);
  }

  /** Writes a file there; folders that are missing are made. */
  write(path: string, text: string): void {
    execFileSync("nsenter", this.#inside(`mkdir -p '${dirname(path)}' && cat > '${path}'`), {
      input: text,
    });
  }

  /** Installs the units as the page says, without starting anything. */
  async install(): Promise<void> {
    await this.must("make --silent -C /opt/stormlock install-systemd");
    await this.must("systemd-sysusers && systemctl daemon-reload");
  }

  /** What a unit has said. */
  async journal(unit: string): Promise<string> {
    return this.must(`journalctl --sync; journalctl --no-pager -o cat -u '${unit}'`);
  }

  /** One property of a unit, such as ActiveState. */
  async property(unit: string, name: string): Promise<string> {
    return this.must(`systemctl show --value --property '${name}' '${unit}'`);
  }

  /** As when the power goes: nothing is told, nothing ends in order. */
  async cutPower(): Promise<void> {
    const { exitCode, signalCode } = this.#outside;
    if (exitCode !== null || signalCode !== null) return;
    const ended = new Promise((done) => this.#outside.once("close", done));
    // Its death is that of every process within.
    if (this.#pid > 0) process.kill(this.#pid, "SIGKILL");
    else this.#outside.kill("SIGKILL");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cutPower();
    this.#removeCgroup();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  #inside(line: string): string[] {
    const env = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/root",
      LANG: "C.UTF-8",
      SYSTEMD_UNIT_PATH: "/etc/systemd/system:/usr/local/lib/systemd/system:/run/base-units",
    };
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const spaces = ["--mount", "--pid", "--net", "--uts", "--cgroup", "--root", "--wd"];
    return ["-t", String(this.#pid), ...spaces, "env", "-i", ...words, "sh", "-c", line];
  }

  async #untilUp(): Promise<void> {
    const untilMs = performance.now() + BOOT_MS;
    while (performance.now() < untilMs) {
      if (this.#outside.exitCode !== null) break;
      this.#pid = this.#firstProcess();
      if (this.#pid > 0) {
        const { stdout } = await this.run("systemctl is-system-running");
        if (stdout.trim() === "running") return;
      }
      await new Promise((wake) => setTimeout(wake, 50));
    }
    throw new Error(`the machine does not come up: ${this.#said.trim()}`);
  }

  // The child of `unshare --fork`, once that has taken the script's place.
  #firstProcess(): number {
    const { pid = 0 } = this.#outside;
    try {
      const children = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8");
      const [first = 0] = children.trim().split(" ").map(Number);
      const program = readFileSync(`/proc/${String(first)}/comm`, "utf8").trim();
      return program === "systemd" ? first : 0;
    } catch {
      return 0;
    }
  }

  async #log(): Promise<string> {
    return (await this.run("journalctl --sync; journalctl --no-pager -o cat -n 60")).stdout;
  }

  #removeCgroup(): void {
    const mounted = join(this.#folder, "cgroup");
    const line =
      `mkdir -p '${mounted}' && mount -t cgroup2 cgroup2 '${mounted}' && cd '${mounted}' && ` +
      `for _ in 1 2 3 4 5 6 7 8 9; do test -d ${this.#name} || break; ` +
      `find ${this.#name} -depth -type d -exec rmdir {} + && break; sleep 0.2; done`;
    spawnSync("unshare", ["--mount", "sh", "-c", line], { stdio: "ignore" });
  }
}
