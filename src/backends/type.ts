import type { z, ZodObject } from "zod";
import type { Backend } from "../lock/backend.js";
import type { Clock } from "../lock/clock.js";

/** What a type of backend gets to say with what a configuration may contain. */
export interface SettingsTools {
  /** zod, as this Stormlock has it: a plug-in needs none of its own. */
  readonly z: typeof z;
}

/** What a store needs before it can be used. */
export interface BackendSetup {
  /**
   * The same for whoever makes it by hand, such as SQL; without secrets. It is printed as it
   * stands.
   */
  readonly text: string;

  /**
   * Makes what is missing, and leaves alone what is there.
   * @returns one line that says what was made, or that it was there
   * @throws LockError "unavailable" with one line that says what is wrong and what to do
   */
  run(deps: { readonly clock: Clock }): Promise<string>;
}

/** What whoever opens a store brings along. */
export interface OpenDeps {
  readonly clock: Clock;
  /**
   * The process asks one question or two without waiting, and ends: what pays only later may be
   * left out.
   */
  readonly isBrief?: boolean;
}

/**
 * One kind of store. A plug-in exports one as `backend`.
 */
export interface BackendType {
  /**
   * What a configuration may say of it, beside its type; without this anything. Files are best
   * called `path`, `ca`, `cert` or `key`: what these name is made absolute.
   */
  readonly settings?: (tools: SettingsTools) => ZodObject | Promise<ZodObject>;

  /**
   * Opens one.
   * @param name what the configuration calls it, for messages
   * @param settings as `settings` has accepted them
   * @throws LockError with one line that says what is wrong and what to do: "invalid-field" when
   *   it is the settings, else "unavailable"
   */
  open(name: string, settings: unknown, deps: OpenDeps): Promise<Backend>;

  /**
   * What the store needs before it can be used; left out where nothing has to be made. It asks
   * nobody.
   */
  setup?(name: string, settings: unknown): BackendSetup | Promise<BackendSetup>;
}
