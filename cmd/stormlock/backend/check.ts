import type { BackendConfig } from "../../../src/config/backend-settings.js";
import type { Config } from "../../../src/config/index.js";
import type { Backend } from "../../../src/lock/backend.js";
import { formatDuration } from "../../../src/lock/duration.js";
import { LockError } from "../../../src/lock/errors.js";
import { DEFAULT_RULE } from "../../../src/lock/policy.js";
import { openBackend } from "../../../src/open.js";
import { systemClock } from "../../../src/system-clock.js";
import { builtInStoreTeller } from "../ask-here.js";
import type { Scene } from "../command.js";
import { Findings } from "./findings.js";
import { roundTrip } from "./round-trip.js";
import { Steps } from "./steps.js";

/**
 * Opens each backend as a daemon would, lets it look at its store, and plays a lock's life in it.
 * @returns the exit code
 */
export async function checkBackends(
  configs: readonly BackendConfig[],
  config: Config,
  scene: Scene,
): Promise<number> {
  const signal = scene.untilStopped();
  const findings = new Findings(scene.output);
  const sayIfMade = builtInStoreTeller(config, scene.output);
  for (const each of configs) {
    findings.begin(each);
    const steps = new Steps(findings, signal, systemClock);
    try {
      if (each.problem !== undefined) throw new LockError("invalid-field", each.problem);
      const open = (): Promise<Backend> => openBackend(each, systemClock);
      const backend = await steps.take("open", open, (opened) => `opened ${opened.traits.place}`);
      sayIfMade([each.name]);
      try {
        await checkOne(backend, each.name, config, findings, steps);
      } finally {
        await steps.inTime(Promise.resolve(backend[Symbol.asyncDispose]()));
      }
    } catch (thrown) {
      signal.throwIfAborted();
      findings.fail(steps.current, thrown);
    }
  }
  return findings.end();
}

async function checkOne(
  backend: Backend,
  name: string,
  config: Config,
  findings: Findings,
  steps: Steps,
): Promise<void> {
  await steps.take(
    "check",
    () => backend.check(),
    () => "can be used",
  );
  for (const message of backend.warnings ?? []) {
    findings.add({ level: "warning", step: "check", message });
  }
  for (const message of ttlComplaints(name, config, backend.traits.minTtlMs)) {
    findings.add({ level: "misconfigured", step: "ttl", message });
  }
  await roundTrip(backend, config.policy.fallback.principal ?? DEFAULT_RULE.principal, steps);
}

/** Where a lock that is asked for without a ttl would be refused: too short for the store. */
export function ttlComplaints(
  name: string,
  { policy, path }: Pick<Config, "policy" | "path">,
  minTtlMs: number,
): readonly string[] {
  const fallback = { ...DEFAULT_RULE, ...policy.fallback };
  const rules = [
    { header: "[default]", rule: fallback },
    ...policy.sections.map(({ pattern, rule }) => ({
      header: `[${JSON.stringify(pattern)}]`,
      rule: { ...fallback, ...rule },
    })),
  ];
  return rules
    .filter(({ rule }) => rule.backend === name && rule.ttlMs < minTtlMs)
    .map(
      ({ header, rule }) =>
        `${path === undefined ? "" : `${path}: `}${header} ttl: found ${formatDuration(rule.ttlMs)}; ` +
        `expected ${formatDuration(minTtlMs)} at least, the shortest that this store can keep`,
    );
}
