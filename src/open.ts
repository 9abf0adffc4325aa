// The composition root: from a configuration to locks that can be asked.

import { backendType } from "./backends/registry.js";
import type { BackendConfig } from "./config/backend-settings.js";
import { UnusableConfigError } from "./config/errors.js";
import type { Backend } from "./lock/backend.js";
import type { Clock } from "./lock/clock.js";
import { LockError } from "./lock/errors.js";
import { LateBackend } from "./lock/daemon/late-backend.js";
import { LockManager } from "./lock/daemon/manager.js";
import { Policy, type Rule, type Section } from "./lock/policy.js";
import { systemClock } from "./system-clock.js";

export interface OpenOptions {
  /** Which rules apply to which resource, and in which backend each is kept. */
  readonly rules: { readonly fallback: Partial<Rule>; readonly sections: readonly Section[] };
  readonly backends: ReadonlyMap<string, BackendConfig>;
  /** The one resource that will be asked about: then its backend alone is opened. */
  readonly resource?: string;
  /**
   * Do not wait for the stores: each is opened when it can be had, and what has no usable
   * configuration is left out, so that only those are refused who ask for a resource in it.
   */
  readonly startsAlone?: boolean;
  /** The process asks one question or two without waiting, and ends. */
  readonly isBrief?: boolean;
  readonly clock?: Clock;
}

/** Locks that are open: dispose them to close their backends, in reverse. */
export interface OpenLocks extends AsyncDisposable {
  readonly manager: LockManager;
  readonly policy: Policy;
  /** Those that are open or, with `startsAlone`, will be. */
  readonly backends: ReadonlyMap<string, Backend>;
  /** Why a backend is not there, by its name: each in one line. With `startsAlone` only. */
  readonly absent: ReadonlyMap<string, string>;
}

/**
 * Opens the backends of a configuration, and a manager over them.
 * @throws UnusableConfigError, or LockError "unavailable" with one line that says what is wrong
 *   and what to do; what had been opened until then is closed
 */
export async function openLocks(options: OpenOptions): Promise<OpenLocks> {
  const { rules, resource, startsAlone = false, clock = systemClock } = options;
  const { isBrief = false } = options;
  const policy = new Policy(rules.fallback, rules.sections);
  const wanted = resource === undefined ? undefined : policy.for(resource).backend;
  const configs = Array.from(options.backends.values()).filter(
    ({ name }) => wanted === undefined || name === wanted,
  );
  const usable = configs.filter(({ problem }) => problem === undefined);
  const problems = configs.flatMap(({ problem }) => problem ?? []);
  if (problems.length > 0 && (!startsAlone || usable.length === 0)) {
    throw new UnusableConfigError(problems.join("\n"));
  }

  const backends = new Map<string, Backend>();
  const absent = new Map<string, string>();
  const close = async (): Promise<void> => {
    for (const backend of [...backends.values()].reverse()) await backend[Symbol.asyncDispose]();
  };
  const opener = (config: BackendConfig) => () => openBackend(config, clock, isBrief);
  const openLater = async (config: BackendConfig): Promise<void> => {
    const { name, type } = config;
    const backend = new LateBackend({ name, type, open: opener(config), clock });
    backends.set(name, backend);
    const error = await backend.tryToOpen();
    // Waiting mends no mistake.
    if (error?.isDefinite === true) throw error;
    if (error !== undefined) absent.set(name, error.message);
  };
  try {
    if (startsAlone) {
      for (const { name, problem } of configs)
        if (problem !== undefined) absent.set(name, problem.replaceAll("\n", "; "));
      await Promise.all(usable.map(openLater));
    } else {
      for (const config of usable) backends.set(config.name, await opener(config)());
    }
  } catch (error) {
    await close();
    const isMistake = error instanceof LockError && error.kind === "invalid-field";
    throw isMistake ? new UnusableConfigError(error.message) : error;
  }
  const manager = new LockManager({ clock, policy, backends });
  return { manager, policy, backends, absent, [Symbol.asyncDispose]: close };
}

/**
 * Opens one backend.
 * @throws LockError "invalid-field" when it is the configuration, else "unavailable", with one
 *   line that says what is wrong and what to do
 */
export async function openBackend(
  config: BackendConfig,
  clock: Clock,
  isBrief = false,
): Promise<Backend> {
  const { name, type, folder, settings, where } = config;
  try {
    return await (await backendType(type, folder)).open(name, settings, { clock, isBrief });
  } catch (thrown) {
    throw namingSection(thrown, name, where.get(""));
  }
}

/** A mistake in the configuration is told with its place, as all of them are. */
export function namingSection(thrown: unknown, name: string, place: string | undefined): unknown {
  if (!(thrown instanceof LockError) || thrown.kind !== "invalid-field") return thrown;
  const message = `${place === undefined ? "" : `${place}: `}[backend.${name}]: ${thrown.message}`;
  return new LockError("invalid-field", message, { cause: thrown });
}
