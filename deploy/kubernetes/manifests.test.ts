// What users apply: rendered, valid by the API's own schemas, and as the documentation says.

import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { LIVENESS } from "../../src/rpc/grpc/door.js";
import { DRAIN_MS } from "../../src/rpc/serve.js";
import { isCi } from "../../test/support/ci.js";
import { CliHome } from "../../test/support/cli.js";
import { blocksOf } from "../../test/support/doc-page.js";
import {
  containersOf,
  entryPointOf,
  onlyOf,
  podSpecOf,
  type Container,
  type DeploymentSpec,
  type Manifest,
  type PodSpec,
  type ServiceSpec,
} from "./play/model.js";
import {
  checked,
  KUBERNETES_HOME,
  missingRenderer,
  prepareRenderer,
  rendered,
} from "./toolchain.js";

// The first that runs native sidecars by itself, and the newest that the package knows.
const VERSIONS = ["1.29", "1.37"];
// Nothing is compiled yet on a fresh machine.
const MADE_WITHIN_MS = 900_000;

const OVERLAYS = ["overlays/postgresql", "overlays/etcd"];
const RECIPES = readdirSync(join(KUBERNETES_HOME, "recipes")).map((name) => `recipes/${name}`);
const WITH_PODS = ["Deployment", "Job"];

const missing = missingRenderer();
const isSkipped = missing !== undefined && !isCi;
const test = isSkipped ? it.skip : it;

const manifests = new Map<string, readonly Manifest[]>();
const of = (folder: string): readonly Manifest[] => manifests.get(folder) ?? [];

const podsOf = (folder: string): { readonly manifest: Manifest; readonly spec: PodSpec }[] =>
  of(folder)
    .filter(({ kind }) => WITH_PODS.includes(kind))
    .map((manifest) => ({ manifest, spec: podSpecOf([manifest], manifest.kind) }));

describe("docs/kubernetes.md", () => {
  const excerpts = blocksOf("docs/kubernetes.md")
    .map(({ text }) => /^# (deploy\/\S+)\n([^]+)$/u.exec(text))
    .filter((found) => found !== null);

  it("shows parts of all recipes", () => {
    const shown = new Set(excerpts.map(([, path = ""]) => dirname(path)));
    expect([...shown].toSorted()).toEqual(
      RECIPES.map((recipe) => join("deploy/kubernetes", recipe)).toSorted(),
    );
  });

  it.each(excerpts.map(([, path = "", text = ""]) => [path, text]))(
    "shows %s as it is",
    (path, text) => {
      expect(readFileSync(path, "utf8")).toContain(`${text}\n`);
    },
  );
});

describe(`the manifests${missing === undefined ? "" : ` (needs: ${missing})`}`, () => {
  beforeAll(async () => {
    if (isSkipped) return;
    await prepareRenderer();
    for (const folder of [...OVERLAYS, ...RECIPES]) {
      manifests.set(folder, (await checked(await rendered(folder), VERSIONS)) as Manifest[]);
    }
  }, MADE_WITHIN_MS);

  test("that are wrong would be refused, with the field and the version", async () => {
    const yaml = await rendered("overlays/etcd");
    const planted = yaml.replace("periodSeconds:", "periodSecond:");
    await expect(checked(planted, ["1.37"])).rejects.toThrow(/1\.37: .*periodSecond/u);
  });

  test.each(OVERLAYS)("%s has the daemon, its Services, its budget and its policy", (folder) => {
    const kinds = of(folder).map(({ kind }) => kind);
    expect(kinds.toSorted()).toEqual([
      "ConfigMap",
      "Deployment",
      "NetworkPolicy",
      "PodDisruptionBudget",
      "Service",
      "Service",
    ]);
    for (const { metadata } of of(folder)) expect(metadata.namespace).toBe("stormlock");
  });

  test.each([...OVERLAYS, ...RECIPES])("%s gives no pod more than it needs", (folder) => {
    expect(podsOf(folder)).not.toEqual([]);
    for (const { spec } of podsOf(folder)) {
      expect(spec).toMatchObject({
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      });
      for (const container of containersOf(spec)) {
        expect(container.securityContext, container.name).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
        const { requests = {}, limits = {} } = container.resources ?? {};
        expect(Object.keys(requests).toSorted(), container.name).toEqual(["cpu", "memory"]);
        // Who is throttled answers late.
        expect(Object.keys(limits), container.name).toEqual(["memory"]);
        expect(container.image, container.name).toMatch(/:\d+\.\d+\.\d+(?:-\w+)?$/u);
      }
    }
  });

  test.each([...OVERLAYS, ...RECIPES])("%s has Stormlock's image of this version", (folder) => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    const images = podsOf(folder).flatMap(({ spec }) =>
      containersOf(spec).map(({ image }) => image),
    );
    const own = images.filter((image) => image.startsWith("stormlock"));
    expect(new Set(own)).toEqual(new Set([`stormlock:${version}`]));
  });

  test.each([...OVERLAYS, ...RECIPES])(
    "%s probes and mounts nothing that is not there",
    (folder) => {
      for (const { spec } of podsOf(folder)) {
        const ports = containersOf(spec).flatMap(({ ports: own = [] }) => own);
        const known = new Set(ports.flatMap(({ name, containerPort }) => [name, containerPort]));
        const volumes = new Set(spec.volumes?.map(({ name }) => name));
        for (const { startupProbe, livenessProbe, readinessProbe, ...container } of containersOf(
          spec,
        )) {
          for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
            if (probe === undefined) continue;
            expect(known).toContain(probe.httpGet?.port ?? probe.grpc?.port);
          }
          for (const { name } of container.volumeMounts ?? []) expect(volumes).toContain(name);
        }
        const maps = of(folder).filter(({ kind }) => kind === "ConfigMap");
        for (const { configMap } of spec.volumes ?? []) {
          if (configMap === undefined) continue;
          expect(maps.map(({ metadata }) => metadata.name)).toContain(configMap.name);
        }
      }
    },
  );

  // Under a wrong name a kubelet hears NOT_FOUND, and restarts the daemon again and again.
  test.each(OVERLAYS)("%s asks for the daemon's health by the names that it serves", (folder) => {
    const [daemon] = podSpecOf(of(folder), "Deployment").containers;
    expect(daemon?.livenessProbe?.grpc?.service).toBe(LIVENESS);
    for (const probe of [daemon?.startupProbe, daemon?.readinessProbe]) {
      expect(["", LIVENESS]).toContain(probe?.grpc?.service ?? "");
    }
  });

  test.each(OVERLAYS)(
    "%s has a configuration that the daemon accepts, and its ports",
    async (folder) => {
      await using home = await CliHome.make();
      const text = onlyOf(of(folder), "ConfigMap").data?.["config.toml"] ?? "";
      const file = await home.file("config.toml", text);
      const { env = [], ports = [] } = podSpecOf(of(folder), "Deployment").containers[0] ?? {};
      const secrets = env.filter(({ valueFrom }) => valueFrom?.secretKeyRef !== undefined);
      const values = Object.fromEntries(secrets.map(({ name }) => [name, "a secret"]));
      const said = await home.run(["config", "check", "-c", file], { env: values });
      expect(said).toMatchObject({ code: 0 });
      for (const { containerPort } of ports)
        expect(text).toContain(`0.0.0.0:${String(containerPort)}`);
      const [port] = /(?<=databases\.svc:)\d+/u.exec(text) ?? [];
      const policy = onlyOf(of(folder), "NetworkPolicy").spec?.["egress"];
      expect(policy).toContainEqual({
        to: [
          { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "databases" } } },
        ],
        ports: [{ protocol: "TCP", port: Number(port) }],
      });
    },
  );

  test.each(OVERLAYS)("%s leaves more time to stop than stopping takes", (folder) => {
    const spec = podSpecOf(of(folder), "Deployment");
    const preStopSeconds = spec.containers[0]?.lifecycle?.preStop?.sleep?.seconds ?? 0;
    const goneAfterSeconds = preStopSeconds + DRAIN_MS / 1000;
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(goneAfterSeconds);
    // In a rolling update one goes after the other.
    const { minReadySeconds } = deploymentOf(folder);
    expect(minReadySeconds).toBeGreaterThanOrEqual(goneAfterSeconds);
  });

  test.each(OVERLAYS)("%s goes on with fewer daemons, one at a time", (folder) => {
    const { replicas, strategy } = deploymentOf(folder);
    expect(replicas).toBeGreaterThan(1);
    expect(strategy.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 });
    const budget = onlyOf(of(folder), "PodDisruptionBudget").spec;
    expect(budget).toMatchObject({ maxUnavailable: 1 });
  });

  test.each(OVERLAYS)("%s lets in by each port of a Service, and by no other", (folder) => {
    const services = of(folder).filter(({ kind }) => kind === "Service");
    const [daemon] = podSpecOf(of(folder), "Deployment").containers;
    const numbers = services
      .flatMap(({ spec }) => (spec as unknown as ServiceSpec).ports)
      .map(({ targetPort }) => daemon?.ports?.find(({ name }) => name === targetPort));
    const served = new Set(numbers.map((port) => port?.containerPort));
    const ingress = onlyOf(of(folder), "NetworkPolicy").spec?.["ingress"] as {
      readonly from: readonly unknown[];
      readonly ports: readonly { readonly port: number }[];
    }[];
    expect(new Set(ingress.flatMap(({ ports }) => ports.map(({ port }) => port)))).toEqual(served);
    for (const { from } of ingress) expect(from).toHaveLength(1);
  });

  test.each([...OVERLAYS, ...RECIPES])("%s has no secret in arguments or in the open", (folder) => {
    for (const { spec } of podsOf(folder)) {
      for (const { command = [], args = [], env = [], name } of containersOf(spec)) {
        expect([...command, ...args].join(" "), name).not.toMatch(
          /passw|secret|:\/\/[^/]*:[^/]*@/iu,
        );
        for (const each of env)
          if (/PASS|SECRET|KEY/u.test(each.name)) expect(each.value, each.name).toBeUndefined();
      }
    }
    for (const { data } of of(folder).filter(({ kind }) => kind === "ConfigMap"))
      for (const text of Object.values(data ?? {}))
        expect(text).not.toMatch(/^password = "(?!\$\{)|:\/\/[^/"]*:[^/"]*@/mu);
  });

  test("of the page's own folder are the overlay's, with its image, configuration and database", async () => {
    await using home = await CliHome.make();
    const [text = ""] = blocksOf("docs/kubernetes.md")
      .map((block) => block.text)
      .filter((each) => each.startsWith("# kustomization.yaml\n"));
    symlinkSync(resolve("."), join(home.path, "stormlock"));
    const own = join(home.path, "own");
    mkdirSync(own);
    writeFileSync(join(own, "kustomization.yaml"), text);
    const config = join(KUBERNETES_HOME, "overlays/postgresql/config.toml");
    copyFileSync(config, join(own, "config.toml"));
    const same = (await checked(await rendered(own), VERSIONS)) as Manifest[];
    const mapOf = (all: readonly Manifest[]): Manifest => onlyOf(all, "ConfigMap");
    expect(mapOf(same)).toEqual(mapOf(of("overlays/postgresql")));
    const [daemon] = podSpecOf(same, "Deployment").containers;
    expect(daemon?.image).toBe("registry.example.com/stormlock:0.1.0");
    const policy = onlyOf(same, "NetworkPolicy").spec?.["egress"] as { readonly to: unknown }[];
    expect(policy).toHaveLength(2);
    expect(policy[1]?.to).toEqual([{ ipBlock: { cidr: "192.0.2.0/24" } }]);

    writeFileSync(join(own, "config.toml"), `${readFileSync(config, "utf8")}# another one\n`);
    const other = (await checked(await rendered(own), VERSIONS)) as Manifest[];
    const { name } = mapOf(other).metadata;
    expect(name).not.toBe(mapOf(same).metadata.name);
    const [volume] = podSpecOf(other, "Deployment").volumes ?? [];
    expect(volume?.configMap?.name).toBe(name);
  });

  test.each(OVERLAYS)(
    "%s chooses the daemon's pods, and lets in who says to be a client",
    (folder) => {
      const own = { "app.kubernetes.io/name": "stormlock" };
      const [labels] = of(folder)
        .filter(({ kind }) => kind === "Deployment")
        .map(({ spec }) => spec?.template?.metadata?.labels);
      expect(labels).toEqual(own);
      for (const { kind, spec } of of(folder)) {
        if (kind === "Service") expect(spec?.["selector"]).toEqual(own);
        if (kind === "Deployment" || kind === "PodDisruptionBudget")
          expect(spec?.["selector"]).toEqual({ matchLabels: own });
        if (kind !== "NetworkPolicy") continue;
        expect(spec?.["podSelector"]).toEqual({ matchLabels: own });
        const [clients] = spec?.["ingress"] as { from: unknown; ports: unknown }[];
        expect(clients).toEqual({
          from: [
            { namespaceSelector: {}, podSelector: { matchLabels: { "stormlock-client": "true" } } },
          ],
          ports: [{ protocol: "TCP", port: 7420 }],
        });
      }
    },
  );

  test.each(RECIPES)(
    "%s has flags that the program knows, and asks by the Services' names",
    async (folder) => {
      await using home = await CliHome.make();
      const services = of("overlays/postgresql").filter(({ kind }) => kind === "Service");
      const names = services.map(({ metadata }) => `${metadata.name}.stormlock.svc:7420`);
      for (const { manifest, spec } of podsOf(folder)) {
        expect(manifest.spec?.template?.metadata?.labels).toMatchObject({
          "stormlock-client": "true",
        });
        const holders = containersOf(spec).filter((each) => wordsOf(each).includes("hold"));
        expect(holders).toHaveLength(1);
        for (const container of holders) {
          const server = container.env?.find(({ name }) => name === "STORMLOCK_SERVER")?.value;
          expect(server?.split(",").toSorted()).toEqual(names.toSorted());
          // A last flag of a wrong form: everything before it has been accepted when that is said.
          const [, ...words] = wordsOf(container);
          const at = words.includes("--") ? words.indexOf("--") : words.length;
          const refused = await home.run(words.toSpliced(at, 0, "--wait=soon"));
          expect(refused).toMatchObject({ code: 64 });
          expect(refused.stderr).toContain("soon");
        }
      }
    },
  );
});

function deploymentOf(folder: string): DeploymentSpec {
  return onlyOf(of(folder), "Deployment").spec as unknown as DeploymentSpec;
}

function wordsOf(container: Container): readonly string[] {
  if (!container.image.startsWith("stormlock:") && container.command === undefined) return [];
  return [...entryPointOf(container), ...(container.args ?? [])];
}
