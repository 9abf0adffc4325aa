// The composition root: from a configuration to locks that can be asked.

import { backendType } from "./backends/registry.js";
import type { BackendConfig } from "./config/backend-settings.js";
import { UnusableConfigError } from "./config/errors.js";
import type { Backend } from "./lock/backend.js";
import type { Clock } from "./lock/clock.js";
import { LockManager } from "./lock/manager.js";
import { Policy, type Rule, type Section } from "./lock/policy.js";
import { systemClock } from "./system-clock.js";

export interface OpenOptions {
  /** Which rules apply to which resource, and in which backend each is kept. */
  readonly rules: { readonly fallback: Partial<Rule>; readonly sections: readonly Section[] };
  readonly backends: ReadonlyMap<string, BackendConfig>;
  /** The one resource that will be asked about: then its backend alone is opened. */
  readonly resource?: string;
  readonly clock?: Clock;
}

/** Locks that are open: dispose them to close their backends, in reverse. */
export interface OpenLocks extends AsyncDisposable {
  readonly manager: LockManager;
  readonly policy: Policy;
  /** Those that are open, by name. */
  readonly backends: ReadonlyMap<string, Backend>;
}

/**
 * Opens the backends of a configuration, and a manager over them.
 * @throws UnusableConfigError, or LockError "unavailable" with one line that says what is wrong
 *   and what to do; what had been opened until then is closed
 */
export async function openLocks(options: OpenOptions): Promise<OpenLocks> {
  const { rules, resource, clock = systemClock } = options;
  const policy = new Policy(rules.fallback, rules.sections);
  const wanted = new Set(
    resource === undefined ? options.backends.keys() : [policy.for(resource).backend],
  );
  const backends = new Map<string, Backend>();
  const close = async (): Promise<void> => {
    for (const backend of [...backends.values()].reverse()) await backend[Symbol.asyncDispose]();
  };
  try {
    for (const [name, config] of options.backends) {
      if (!wanted.has(name)) continue;
      if (config.problem !== undefined) throw new UnusableConfigError(config.problem);
      const type = backendType(config.type);
      backends.set(name, await type.open(name, config.settings, { clock }));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const manager = new LockManager({ clock, policy, backends });
  return { manager, policy, backends, [Symbol.asyncDispose]: close };
}
