// What a Deployment's controller does with its pods.
//
//   D1. There are never more pods than replicas + maxSurge. One that is being deleted does not
//       count: its successor starts while it ends.
//   D2. A pod is available when it has been ready for minReadySeconds. No pod is deleted for a
//       newer one unless replicas - maxUnavailable are available without it.
//   D3. Pods of the wanted revision come, and those of others go, as far as D1 and D2 allow it; first
//       those that are not available. A revision is what its template says: to go back to an earlier
//       one is to keep the pods that are left of it.

import { setTimeout as sleep } from "node:timers/promises";
import type { DeploymentSpec, Manifest, PodSpec } from "./model.js";
import type { PlayNode } from "./namespaces.js";
import { PlayPod, type PodOrder } from "./pod.js";

const LOOK_EVERY_MS = 100;

export interface DeploymentOrder extends Pick<PodOrder, "manifests" | "secrets"> {
  readonly manifest: Manifest;
}

/** A pod, and what the controller knows of it. */
interface Member {
  readonly pod: PlayPod;
  readonly revision: string;
  readySinceMs: number | undefined;
  hasBeenReady: boolean;
}

export class PlayDeployment implements AsyncDisposable {
  readonly #node: PlayNode;
  readonly #name: string;
  readonly #spec: DeploymentSpec;
  readonly #order: DeploymentOrder;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #template: PodSpec;
  #restarts = 0;
  #made = 0;
  #members: Member[] = [];
  #problem: Error | undefined;

  constructor(node: PlayNode, order: DeploymentOrder) {
    this.#node = node;
    this.#order = order;
    this.#name = order.manifest.metadata.name;
    this.#spec = order.manifest.spec as unknown as DeploymentSpec;
    this.#template = this.#spec.template.spec;
    this.#done = this.#run().catch((thrown: unknown) => {
      this.#problem = thrown as Error;
    });
  }

  /** All its pods, those that are ending too. */
  get pods(): readonly PlayPod[] {
    return this.#members.map(({ pod }) => pod);
  }

  /** How many of its pods are ready and go on. */
  get ready(): number {
    return this.#standing.filter(({ pod }) => pod.isReady).length;
  }

  /**
   * How many of its pods have become ready and go on. One that says for a while that its store is
   * slow counts: nobody has taken it away.
   */
  get up(): number {
    return this.#standing.filter(({ hasBeenReady }) => hasBeenReady).length;
  }

  /** D2: how many there must be, whatever happens. */
  get leastAvailable(): number {
    return this.#spec.replicas - this.#spec.strategy.rollingUpdate.maxUnavailable;
  }

  /** As after a change of the template in the manifest. */
  update(change: (spec: PodSpec) => PodSpec): void {
    this.#template = change(this.#spec.template.spec);
  }

  /** What `kubectl rollout restart` does: new pods, of the same kind. */
  restart(): void {
    this.#restarts += 1;
  }

  /**
   * Whether all is as it should be: what `kubectl rollout status` waits for.
   * @throws Error when a pod could not be made
   */
  get isSettled(): boolean {
    if (this.#problem !== undefined) throw this.#problem;
    return (
      this.#members.length === this.#spec.replicas &&
      this.#members.every(
        (member) => member.revision === this.#revision && this.#isAvailable(member),
      )
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
    for (const { pod } of this.#members) await pod[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      for (const member of this.#members) {
        const { isReady } = member.pod;
        member.hasBeenReady ||= isReady;
        member.readySinceMs = isReady ? (member.readySinceMs ?? performance.now()) : undefined;
      }
      await this.#reconcile();
      await sleep(LOOK_EVERY_MS);
    }
  }

  get #revision(): string {
    return JSON.stringify([this.#restarts, this.#template]);
  }

  get #standing(): readonly Member[] {
    return this.#members.filter(({ pod }) => !pod.isDeleted);
  }

  #isAvailable({ pod, readySinceMs = Infinity }: Member): boolean {
    const { minReadySeconds = 0 } = this.#spec;
    return !pod.isDeleted && performance.now() >= readySinceMs + minReadySeconds * 1000;
  }

  // D3
  async #reconcile(): Promise<void> {
    const { replicas, strategy } = this.#spec;
    const standing = this.#standing;
    const isNew = ({ revision }: Member): boolean => revision === this.#revision;
    const wanted = Math.min(
      replicas - standing.filter(isNew).length,
      replicas + strategy.rollingUpdate.maxSurge - standing.length, // D1
    );
    for (let made = 0; made < wanted; made++) await this.#add();
    const isAvailable = (member: Member): boolean => this.#isAvailable(member);
    const old = standing.filter((member) => !isNew(member));
    const coming = standing.filter((member) => isNew(member) && !isAvailable(member));
    const idle = Math.max(0, standing.length - this.leastAvailable - coming.length);
    for (const member of old.filter((each) => !isAvailable(each)).slice(0, idle))
      this.#remove(member);
    const spare = Math.max(0, standing.filter(isAvailable).length - this.leastAvailable); // D2
    for (const member of old.filter(isAvailable).slice(0, spare)) this.#remove(member);
  }

  async #add(): Promise<void> {
    const { manifests, secrets } = this.#order;
    const pod = await PlayPod.start(this.#node, {
      ...{ name: `${this.#name}-${String((this.#made += 1))}`, spec: this.#template, manifests },
      labels: this.#spec.template.metadata.labels,
      ...(secrets === undefined ? {} : { secrets }),
    });
    this.#members.push({
      pod,
      revision: this.#revision,
      readySinceMs: undefined,
      hasBeenReady: false,
    });
  }

  #remove(member: Member): void {
    const { pod } = member;
    const gone = async (): Promise<void> => {
      await pod.delete();
      // Its address is nobody's from now on.
      await pod[Symbol.asyncDispose]();
      this.#members = this.#members.filter((each) => each !== member);
    };
    gone().catch((thrown: unknown) => {
      this.#problem = thrown as Error;
    });
  }
}
