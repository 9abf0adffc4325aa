// What the tests read of a manifest: the fields that a kubelet acts on. And what the Containerfile
// says of how the image is run, for containers that leave it to that.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";

export interface Probe {
  readonly httpGet?: { readonly path?: string; readonly port: number | string };
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly periodSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly failureThreshold?: number;
  readonly terminationGracePeriodSeconds?: number;
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly secretKeyRef?: { readonly name: string; readonly key: string };
  };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly restartPolicy?: string;
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly lifecycle?: {
    readonly preStop?: { readonly sleep?: { readonly seconds: number } };
  };
  readonly resources?: {
    readonly requests?: Readonly<Record<string, string>>;
    readonly limits?: Readonly<Record<string, string>>;
  };
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly capabilities?: { readonly drop?: readonly string[] };
  };
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
}

export interface PodSpec {
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly restartPolicy?: string;
  readonly shareProcessNamespace?: boolean;
  readonly automountServiceAccountToken?: boolean;
  readonly enableServiceLinks?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext?: {
    readonly runAsNonRoot?: boolean;
    readonly runAsUser?: number;
    readonly runAsGroup?: number;
    readonly fsGroup?: number;
    readonly seccompProfile?: { readonly type: string };
  };
  readonly volumes?: readonly {
    readonly name: string;
    readonly emptyDir?: object;
    readonly configMap?: { readonly name: string };
    readonly secret?: { readonly secretName: string; readonly defaultMode?: number };
  }[];
}

/** One document. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: Readonly<Record<string, unknown>> & {
    readonly template?: { readonly metadata?: Manifest["metadata"]; readonly spec: PodSpec };
  };
}

/** What a Deployment's controller acts on. */
export interface DeploymentSpec {
  readonly replicas: number;
  readonly minReadySeconds?: number;
  readonly strategy: {
    readonly rollingUpdate: { readonly maxSurge: number; readonly maxUnavailable: number };
  };
  readonly template: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: PodSpec;
  };
}

/** What is made of a Service. */
export interface ServiceSpec {
  readonly clusterIP?: string;
  readonly publishNotReadyAddresses?: boolean;
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly {
    readonly name: string;
    readonly port: number;
    readonly targetPort: number | string;
  }[];
}

/** All containers of a pod, in the order in which they start. */
export function containersOf({ initContainers = [], containers }: PodSpec): Container[] {
  return [...initContainers, ...containers];
}

const CONTAINERFILE = readFileSync(resolve("deploy/container/Containerfile"), "utf8");

/** The rest of the Containerfile's line that begins so. */
function said(instruction: string): string {
  const [, rest] = new RegExp(`^${instruction} (.+)$`, "mu").exec(CONTAINERFILE) ?? [];
  if (rest === undefined) throw new Error(`the Containerfile has no ${instruction}`);
  return rest;
}

const isOwn = ({ image }: Container): boolean => image.startsWith("stormlock:");

/** What a container runs that has no command, by its image: the daemon's own entry point. */
export function entryPointOf(container: Container): readonly string[] {
  const { image, command, name } = container;
  if (command !== undefined) return command;
  if (isOwn(container)) return JSON.parse(said("ENTRYPOINT")) as string[];
  throw new Error(`the container ${name} has no command, and what ${image} runs is not known here`);
}

/** Variables that a container has of its image. */
export function imageEnvOf(container: Container): Readonly<Record<string, string>> {
  if (!isOwn(container)) return {};
  return Object.fromEntries(
    said("ENV")
      .split(" ")
      .map((each) => each.split("=") as [string, string]),
  );
}

/** The one document of a kind. */
export function onlyOf(manifests: readonly Manifest[], kind: string): Manifest {
  const [found, ...others] = manifests.filter((each) => each.kind === kind);
  if (found === undefined || others.length > 0) {
    throw new Error(`expected one ${kind}, and found ${found === undefined ? "none" : "several"}`);
  }
  return found;
}

/** The pod that a Deployment or a Job makes. */
export function podSpecOf(manifests: readonly Manifest[], kind: string): PodSpec {
  const spec = onlyOf(manifests, kind).spec?.template?.spec;
  if (spec === undefined) throw new Error(`the ${kind} has no template`);
  return spec;
}
