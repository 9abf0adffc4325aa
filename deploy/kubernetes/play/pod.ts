// What a kubelet does with a pod: containers are started and ended in its order, probed, and
// started again as the manifest says.
//
//   O1. Init containers start one after the other: each when the one before has ended with 0, or,
//       for a native sidecar (restartPolicy: Always), when its startup probe has passed.
//   O2. The main containers start when all of these are through.
//   O3. At the end the main containers get SIGTERM; sidecars get it when the main ones are gone,
//       in the reverse of the order in which they started. All have one grace period together, which
//       begins before the preStop hooks; whoever takes longer gets SIGKILL.
//   O4. The pod of a Job ends when its main containers have ended. Sidecars are ended then (O3).
//   O5. A pod is ready when all its containers are that run until its end.

import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { containersOf, type Container, type Manifest, type PodSpec } from "./model.js";
import type { PlayNode, PodSandbox } from "./namespaces.js";
import { SupervisedContainer } from "./supervised.js";

const DEFAULT_GRACE_SECONDS = 30;
// What a kubelet gives a container whose turn comes when the grace period is over.
const LEAST_GRACE_MS = 2000;
const DEFAULT_USER = 0;
const DEFAULT_MODE = 0o644;

export interface PodOrder {
  readonly name: string;
  readonly spec: PodSpec;
  readonly labels?: Readonly<Record<string, string>>;
  /** Where its ConfigMaps are looked up. */
  readonly manifests: readonly Manifest[];
  /** Secrets by name, and what is in them by key. */
  readonly secrets?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export class PlayPod implements AsyncDisposable {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** "Succeeded" when all main containers have ended with 0; "Failed" otherwise. */
  readonly ended: Promise<"Succeeded" | "Failed">;
  readonly sandbox: PodSandbox;
  readonly #node: PlayNode;
  readonly #spec: PodSpec;
  readonly #volumes: ReadonlyMap<string, string>;
  readonly #containers = new Map<string, SupervisedContainer>();
  readonly #secrets: NonNullable<PodOrder["secrets"]>;
  readonly #stop = new AbortController();
  #stopped: Promise<void> | undefined;
  #hasEnded = false;

  private constructor(node: PlayNode, sandbox: PodSandbox, order: PodOrder) {
    this.name = order.name;
    this.labels = order.labels ?? {};
    this.sandbox = sandbox;
    this.#node = node;
    this.#spec = order.spec;
    this.#secrets = order.secrets ?? {};
    this.#volumes = furnish(join(node.folder, order.name), order);
    this.ended = this.#run().finally(() => (this.#hasEnded = true));
  }

  static async start(node: PlayNode, order: PodOrder): Promise<PlayPod> {
    const sandbox = await node.sandbox(order.spec.shareProcessNamespace === true);
    return new PlayPod(node, sandbox, order);
  }

  get address(): string {
    return this.sandbox.address;
  }

  // O5
  get isReady(): boolean {
    const lasting = containersOf(this.#spec).filter(
      (each) => this.#spec.containers.includes(each) || each.restartPolicy === "Always",
    );
    return lasting.every(({ name }) => this.#containers.get(name)?.isReady === true);
  }

  /** Its deletion has begun. */
  get isDeleted(): boolean {
    return this.#stopped !== undefined;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The number of a port that the manifest may have a name for. */
  portOf(wanted: number | string): number {
    const ports = containersOf(this.#spec).flatMap((each) => each.ports ?? []);
    const found = ports.find(({ name }) => name === wanted)?.containerPort ?? wanted;
    if (typeof found === "string") throw new Error(`${this.name} has no port ${found}`);
    return found;
  }

  /** What a container has printed, over all its runs. */
  linesOf(container: string): readonly string[] {
    return this.#containers.get(container)?.lines ?? [];
  }

  /** A container that has been started. */
  container(name: string): SupervisedContainer {
    const found = this.#containers.get(name);
    if (found === undefined) throw new Error(`${this.name}/${name} has not been started`);
    return found;
  }

  /** A file of a volume, as the node sees it. */
  file(volume: string, name: string): string {
    return join(this.#volumes.get(volume) ?? "", name);
  }

  /** What `kubectl delete pod` leads to, to its end. */
  delete(): Promise<void> {
    this.#stop.abort();
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  /** No packet passes any more. */
  cutNetwork(): Promise<void> {
    return this.sandbox.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#containers.values()].map((each) => each.destroy()));
    await this.sandbox[Symbol.asyncDispose]();
  }

  async #run(): Promise<"Succeeded" | "Failed"> {
    const { initContainers = [], containers, restartPolicy = "Always" } = this.#spec;
    const { signal } = this.#stop;
    for (const container of initContainers) {
      if (signal.aborted) return "Failed";
      const one = this.#start(container, container.restartPolicy === "Always");
      if (container.restartPolicy === "Always")
        await Promise.race([one.started, one.ended]); // O1
      else if ((await one.ended) !== 0) return "Failed";
    }
    if (signal.aborted) return "Failed";
    const mains = containers.map((each) => this.#start(each, restartPolicy === "Always")); // O2
    const codes = await Promise.all(mains.map(({ ended }) => ended));
    await this.#endSidecars(this.#graceLeft()); // O4
    return codes.every((code) => code === 0) ? "Succeeded" : "Failed";
  }

  #start(container: Container, isRestarted: boolean): SupervisedContainer {
    const started = new SupervisedContainer(container, {
      ...{ podName: this.name, isRestarted, graceMs: this.#graceMs },
      place: {
        node: this.#node,
        sandbox: this.sandbox,
        user: this.#spec.securityContext?.runAsUser ?? DEFAULT_USER,
        env: this.#envOf(container),
        volumes: this.#volumes,
      },
    });
    this.#containers.set(container.name, started);
    return started;
  }

  get #graceMs(): number {
    return (this.#spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000;
  }

  // O3
  async #end(): Promise<void> {
    const { initContainers = [], containers } = this.#spec;
    const graceLeftMs = this.#graceLeft();
    const inits = initContainers.filter((each) => each.restartPolicy !== "Always");
    await Promise.all(
      [...inits, ...containers].map(async ({ name, lifecycle }) => {
        const started = this.#containers.get(name);
        if (started === undefined) return;
        await sleep((lifecycle?.preStop?.sleep?.seconds ?? 0) * 1000);
        await started.stop(graceLeftMs());
      }),
    );
    await this.#endSidecars(graceLeftMs);
  }

  /** What is left of the grace period, at each moment from now on. */
  #graceLeft(): () => number {
    const endsAtMs = performance.now() + this.#graceMs;
    return () => Math.max(LEAST_GRACE_MS, endsAtMs - performance.now());
  }

  async #endSidecars(graceLeftMs: () => number): Promise<void> {
    const sidecars = (this.#spec.initContainers ?? []).filter(
      (each) => each.restartPolicy === "Always",
    );
    for (const { name } of sidecars.toReversed())
      await this.#containers.get(name)?.stop(graceLeftMs());
  }

  #envOf({ env = [] }: Container): Record<string, string> {
    const fields: Record<string, string> = {
      "metadata.name": this.name,
      "status.podIP": this.sandbox.address,
    };
    return Object.fromEntries(
      env.map(({ name, value, valueFrom }) => {
        const { fieldRef, secretKeyRef } = valueFrom ?? {};
        const found =
          value ??
          (fieldRef === undefined ? undefined : fields[fieldRef.fieldPath]) ??
          this.#secrets[secretKeyRef?.name ?? ""]?.[secretKeyRef?.key ?? ""];
        if (found === undefined) throw new Error(`nothing is known here of the variable ${name}`);
        return [name, found];
      }),
    );
  }
}

/** Makes the volumes, each a folder, with what is in them. */
function furnish(
  folder: string,
  { spec, manifests, secrets = {} }: PodOrder,
): ReadonlyMap<string, string> {
  const volumes = new Map<string, string>();
  for (const { name, configMap, secret } of spec.volumes ?? []) {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    // The kubelet gives a volume to the pod's group; here everybody may write.
    chmodSync(path, 0o777);
    volumes.set(name, path);
    const map = manifests.find(
      ({ kind, metadata }) => kind === "ConfigMap" && metadata.name === configMap?.name,
    );
    if (configMap !== undefined && map === undefined)
      throw new Error(`there is no ConfigMap ${configMap.name}`);
    const data = map?.data ?? secrets[secret?.secretName ?? ""] ?? {};
    for (const [key, text] of Object.entries(data)) {
      const file = join(path, key);
      writeFileSync(file, text);
      // Root's, and readable for the pod by its group alone, unless the mode says more.
      chownSync(file, 0, spec.securityContext?.fsGroup ?? 0);
      chmodSync(file, secret?.defaultMode ?? DEFAULT_MODE);
    }
  }
  return volumes;
}
