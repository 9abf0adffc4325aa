// What a cluster makes of Services: names for pods, and addresses that lead to pods.
//
//   S1. A Service has one address, and a name for it. New connections go to its pods in turn: to
//       those that are ready and whose deletion has not begun.
//   S2. A headless Service's name has the address of each such pod; with
//       publishNotReadyAddresses of each pod that runs, also of one that is being deleted.
//   S3. Nodes and DNS hear of a change a moment later.

import { setTimeout as sleep } from "node:timers/promises";
import type { Manifest, ServiceSpec } from "./model.js";
import type { PlayNode } from "./namespaces.js";
import type { PlayPod } from "./pod.js";

const LOOK_EVERY_MS = 100;
// S3
const HEARD_AFTER_MS = 1000;

const FIRST_ADDRESS = 200;

export interface ServicesOrder {
  readonly manifests: readonly Manifest[];
  readonly pods: () => readonly PlayPod[];
  /** Names of hosts that are no Service's. */
  readonly others?: Readonly<Record<string, readonly string[]>>;
}

export class PlayServices implements AsyncDisposable {
  readonly #node: PlayNode;
  readonly #order: ServicesOrder;
  readonly #services: readonly PlayService[];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  private constructor(node: PlayNode, order: ServicesOrder, services: readonly PlayService[]) {
    this.#node = node;
    this.#order = order;
    this.#services = services;
    this.#done = this.#run();
    // Whoever disposes of this is told.
    this.#done.catch(() => undefined);
  }

  static async open(node: PlayNode, order: ServicesOrder): Promise<PlayServices> {
    const services = order.manifests
      .filter(({ kind }) => kind === "Service")
      .map((manifest, at) => {
        return new PlayService(manifest, `10.42.0.${String(FIRST_ADDRESS + at)}`);
      });
    for (const each of services) if (!each.isHeadless) await node.addAddress(each.address);
    const opened = new PlayServices(node, order, services);
    await opened.#apply(opened.#now());
    return opened;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const heard: { readonly atMs: number; readonly what: readonly Endpoints[] }[] = [];
    let last = "";
    while (!signal.aborted) {
      const what = this.#now();
      const text = JSON.stringify(what);
      if (text !== last) heard.push({ atMs: performance.now() + HEARD_AFTER_MS, what });
      last = text;
      while (heard[0] !== undefined && heard[0].atMs <= performance.now())
        await this.#apply(heard.shift()?.what ?? what);
      await sleep(LOOK_EVERY_MS);
    }
  }

  #now(): readonly Endpoints[] {
    const pods = this.#order.pods();
    return this.#services.map((each) => each.endpointsAmong(pods));
  }

  async #apply(endpoints: readonly Endpoints[]): Promise<void> {
    for (const { led } of endpoints)
      for (const { from, to } of led) await this.#node.agent.lead(from, to);
    this.#node.resolve({
      ...this.#order.others,
      ...Object.fromEntries(endpoints.map(({ host, addresses }) => [host, addresses])),
    });
  }
}

/** What a Service leads to at a moment. */
interface Endpoints {
  readonly host: string;
  /** What its name stands for. */
  readonly addresses: readonly string[];
  /** S1: where connections to the Service's own address go. */
  readonly led: readonly { readonly from: string; readonly to: readonly string[] }[];
}

class PlayService {
  readonly address: string;
  readonly #host: string;
  readonly #spec: ServiceSpec;

  constructor({ metadata, spec }: Manifest, address: string) {
    this.#host = `${metadata.name}.${metadata.namespace ?? "default"}.svc`;
    this.address = address;
    this.#spec = spec as unknown as ServiceSpec;
  }

  get isHeadless(): boolean {
    return this.#spec.clusterIP === "None";
  }

  endpointsAmong(pods: readonly PlayPod[]): Endpoints {
    const { selector, ports, publishNotReadyAddresses = false } = this.#spec;
    const chosen = pods.filter(
      ({ labels, isReady, isDeleted, hasEnded }) =>
        Object.entries(selector).every(([name, value]) => labels[name] === value) &&
        (publishNotReadyAddresses ? !hasEnded : isReady && !isDeleted),
    );
    const host = this.#host;
    if (this.isHeadless) return { host, addresses: chosen.map(({ address }) => address), led: [] };
    const led = ports.map(({ port, targetPort }) => ({
      from: `${this.address}:${String(port)}`,
      to: chosen.map((pod) => `${pod.address}:${String(pod.portOf(targetPort))}`),
    }));
    return { host, addresses: [this.address], led };
  }
}
