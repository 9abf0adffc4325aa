// What holds where nothing is configured.

import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import type { Environment } from "./substitute.js";

/** The name of the built-in backend. */
export const BUILT_IN = "default";

export const DEFAULT_LISTEN = "127.0.0.1:7420";

/** A folder of the user's, by the XDG rules: a relative one in the variable does not count. */
export function xdgFolder(
  env: Environment,
  variable: "XDG_CONFIG_HOME" | "XDG_STATE_HOME",
  home: string,
): string {
  const named = env[variable];
  if (named?.startsWith("/") === true) return named;
  return join(home, variable === "XDG_CONFIG_HOME" ? ".config" : ".local/state");
}

/** The file of the built-in embedded store. */
export function builtInStorePath(env: Environment, home: string): string {
  return join(xdgFolder(env, "XDG_STATE_HOME", home), "stormlock", "locks.db");
}

/** Who asks, unless they say so: the user's name at this host's. */
export function builtInPrincipal(): string {
  return `${userName()}@${hostname()}`;
}

// In a container a user often has a number and no name.
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
}
