// The container image, built and unpacked once, and containers of it: what an engine makes of an image,
// by the kernel's own means.

import { execFile, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chown, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { skipped } from "../../test/support/ci.js";
import { missingBinary, prepareBinary } from "./binary.js";

const run = promisify(execFile);

const ARCHIVE = resolve("build/stormlock-image-linux-x64.tar");
export const USER = 65_532;

export interface ImageConfig {
  readonly User: string;
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Env: readonly string[];
  readonly Volumes: Readonly<Record<string, object>>;
  readonly Labels: Readonly<Record<string, string>>;
}

/** Why no image can be built and run here; undefined when it can. */
export function missingImage(): string | undefined {
  const binary = missingBinary();
  if (binary !== undefined) return binary;
  for (const program of ["buildah", "unshare", "nsenter", "ip", "tar"]) {
    if (spawnSync(program, ["--version"]).error !== undefined)
      return missing(`${program} is not installed`);
  }
  const isAllowed = spawnSync("unshare", ["--mount", "--pid", "--net", "--fork", "true"]).status;
  return isAllowed === 0 ? undefined : missing("namespaces are for root alone here");
}

const missing = (why: string): string => skipped(`${why}: the container image cannot be tested`);

/** An image's files, and what it says of how it is run. */
export class Image implements AsyncDisposable {
  readonly config: ImageConfig;
  readonly root: string;
  readonly #folder: string;

  private constructor(folder: string, config: ImageConfig) {
    this.#folder = folder;
    this.root = join(folder, "root");
    this.config = config;
  }

  /** Builds it, and unpacks its layers, as an engine would. */
  static async build(): Promise<Image> {
    await prepareBinary();
    await run(process.execPath, ["tools/image.js"], { timeout: 300_000 });
    const folder = await mkdtemp(join(tmpdir(), "stormlock-image-"));
    await run("tar", ["-xf", ARCHIVE, "-C", folder]);
    const read = async (path: string): Promise<unknown> =>
      JSON.parse(await readFile(join(folder, path), "utf8"));
    const blob = (digest: string): string => `blobs/${digest.replace(":", "/")}`;
    const index = (await read("index.json")) as { manifests: [{ digest: string }] };
    const manifest = (await read(blob(index.manifests[0].digest))) as {
      config: { digest: string };
      layers: readonly { digest: string }[];
    };
    const { config } = (await read(blob(manifest.config.digest))) as { config: ImageConfig };
    const image = new Image(folder, config);
    await mkdir(image.root);
    for (const { digest } of manifest.layers) {
      const layer = join(folder, blob(digest));
      await run("tar", ["-xf", layer, "-C", image.root, "--numeric-owner", "--same-owner"]);
    }
    return image;
  }

  /**
   * Runs it: process 1 of its own, root file system read-only, no network but its own loopback.
   * @param args in the place of the image's own command
   */
  async start(args: readonly string[] = this.config.Cmd): Promise<Container> {
    const volume = await mkdtemp(join(this.#folder, "volume-"));
    await chown(volume, USER, USER);
    return new Container(this, volume, args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

// $1 root, $2 volume, the rest is the program. Mounts end with the namespace.
const ENTER = `
set -e
mount --bind "$1" "$1"
mount --bind "$2" "$1/var/lib/stormlock"
mount --bind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -o remount,ro,bind "$1"
ip link set lo up
root=$1
shift 2
exec chroot --userspec=${String(USER)}:${String(USER)} "$root" "$@"
`;

/** One container. Stopped, and its namespaces with it, at the end. */
export class Container implements AsyncDisposable {
  readonly ended: Promise<number | null>;
  readonly #unshare: ChildProcess;
  readonly #env: Record<string, string>;
  #stderr = "";

  constructor({ root, config }: Image, volume: string, args: readonly string[]) {
    this.#env = Object.fromEntries(
      config.Env.map((each) => {
        const at = each.indexOf("=");
        return [each.slice(0, at), each.slice(at + 1)];
      }),
    );
    const own = ["--mount", "--pid", "--net", "--fork"];
    const enter = ["/bin/sh", "-c", ENTER, "sh", root, volume];
    this.#unshare = spawn("unshare", [...own, ...enter, ...config.Entrypoint, ...args], {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...this.#env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#unshare.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.ended = new Promise((resolve) => {
      this.#unshare.once("close", resolve);
    });
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Process 1, by its number outside. */
  async #pid(): Promise<number> {
    const { pid = 0 } = this.#unshare;
    const children = await readFile(`/proc/${String(pid)}/task/${String(pid)}/children`, "utf8");
    return Number.parseInt(children, 10);
  }

  /** Runs a program of the image in the container, as `exec` of an engine does. */
  async exec(...argv: readonly string[]): Promise<{ code: number; stdout: string }> {
    const pid = String(await this.#pid());
    const own = ["--target", pid, "--mount", "--pid", "--net", "--root", "--wd"];
    const as = ["--setuid", String(USER), "--setgid", String(USER)];
    return await new Promise((resolve) => {
      execFile(
        "nsenter",
        [...own, ...as, ...argv],
        { env: this.#env, timeout: 60_000 },
        (error, stdout) => {
          const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
          resolve({ code, stdout });
        },
      );
    });
  }

  /** What the kernel says of process 1. */
  async status(): Promise<string> {
    return await readFile(`/proc/${String(await this.#pid())}/status`, "utf8");
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    process.kill(await this.#pid(), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // With process 1 its namespaces end; `unshare` ends by itself then.
    if (this.#unshare.exitCode === null)
      await this.kill("SIGKILL").catch(() => this.#unshare.kill("SIGKILL"));
    await this.ended;
  }
}
