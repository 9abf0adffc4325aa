// Finding, reading and checking the configuration.

import { findConfig, type Surroundings } from "./find.js";
import { readConfig } from "./read.js";
import { settleConfig, type Config, type SettleOptions } from "./settle.js";

export { ConfigError } from "./errors.js";
export { findConfig, type Surroundings } from "./find.js";
export type { Flags } from "./overrides.js";
export { daemonRules, principalFor, type ClientConfig, type Config } from "./settle.js";
export { showConfig } from "./show.js";

export interface LoadOptions
  extends Surroundings, Omit<SettleOptions, "file" | "warnings" | keyof Surroundings> {
  /** The value of -c. */
  readonly configFlag: string | undefined;
}

/**
 * Finds, reads and settles the configuration.
 * @throws ConfigError with all complaints
 */
export async function loadConfig(options: LoadOptions): Promise<Config> {
  const { file, warnings } = findConfig(options.configFlag, options);
  const read = file === undefined ? undefined : await readConfig(file, options.env);
  return await settleConfig({ ...options, file: read, warnings });
}
