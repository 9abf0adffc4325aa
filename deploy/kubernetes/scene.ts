// What the plays have in common: a node, a daemon on it, and pods of a recipe.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isCi } from "../../test/support/ci.js";
import { CliHome, PROGRAM, type Ended } from "../../test/support/cli.js";
import { BINARY, missingBinary, prepareBinary } from "../support/binary.js";
import { podSpecOf, type Manifest, type PodSpec } from "./play/model.js";
import { missingNamespaces, PlayNode } from "./play/namespaces.js";
import { PlayPod } from "./play/pod.js";
import { checked, missingRenderer, prepareRenderer, rendered } from "./toolchain.js";

/** Nothing is compiled yet on a fresh machine. */
export const MADE_WITHIN_MS = 900_000;

/** The names that recipes call the daemons by. */
const SERVICES = ["stormlock.stormlock.svc", "stormlock-each.stormlock.svc"];

/** Why no pods can be played here; undefined when they can. */
export const missingPlay = missingRenderer() ?? (await missingNamespaces());
/** What is said of a play's tests: what they need, where that is missing. */
export const needs = missingPlay === undefined ? "" : ` (needs: ${missingPlay})`;
export const isSkipped = missingPlay !== undefined && !isCi;

/**
 * The single file, which is what the image has; it is built unless it is there. undefined where it
 * cannot be: then containers run the program with this Node.
 */
export async function prepareProgram(): Promise<string | undefined> {
  if (missingBinary() !== undefined) return undefined;
  await prepareBinary();
  return BINARY;
}

/** What a folder is rendered to. */
export async function manifestsOf(folder: string): Promise<readonly Manifest[]> {
  await prepareRenderer();
  return (await checked(await rendered(folder), [])) as Manifest[];
}

export class RecipeScene implements AsyncDisposable {
  readonly node: PlayNode;
  readonly #home: CliHome;
  readonly #manifests: readonly Manifest[];
  readonly #spec: PodSpec;
  readonly #pods: PlayPod[] = [];

  private constructor(
    node: PlayNode,
    home: CliHome,
    manifests: readonly Manifest[],
    spec: PodSpec,
  ) {
    this.node = node;
    this.#home = home;
    this.#manifests = manifests;
    this.#spec = spec;
  }

  /** A node with a daemon, for the pods of a folder's Deployment or Job. */
  static async open(folder: string, kind: "Deployment" | "Job"): Promise<RecipeScene> {
    const program = await prepareProgram();
    const manifests = await manifestsOf(folder);
    const home = await CliHome.make();
    await mkdir(join(home.path, "node"));
    const node = await PlayNode.make(join(home.path, "node"), program);
    const scene = new RecipeScene(node, home, manifests, podSpecOf(manifests, kind));
    await home.daemon(["--listen", `${node.address}:7420`, "--insecure"], {
      program: scene.#program,
      mostMs: MADE_WITHIN_MS,
    });
    node.resolve(Object.fromEntries(SERVICES.map((name) => [name, [node.address]])));
    return scene;
  }

  /** Starts a pod, of the manifest as it is unless something is done to it before. */
  async pod(name: string, change: (spec: PodSpec) => PodSpec = (spec) => spec): Promise<PlayPod> {
    const pod = await PlayPod.start(this.node, {
      ...{ name, manifests: this.#manifests, spec: change(this.#spec) },
    });
    this.#pods.push(pod);
    return pod;
  }

  /** A command line, asked on the node. */
  ask(...argv: readonly string[]): Promise<Ended> {
    return this.#home.run([...argv, "--server", `${this.node.address}:7420`], {
      program: this.#program,
    });
  }

  get #program(): readonly string[] {
    const own = this.node.program;
    return [...this.node.entering, ...(own === undefined ? [process.execPath, PROGRAM] : [own])];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pod of this.#pods) await pod[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
    await this.node[Symbol.asyncDispose]();
  }
}
