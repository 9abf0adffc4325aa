import { lstatSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { xdgFolder } from "./builtin.js";
import type { Dialect } from "./document.js";
import { ConfigError } from "./errors.js";
import type { Environment } from "./substitute.js";

export interface Surroundings {
  readonly env: Environment;
  /** The user's home folder. */
  readonly home: string;
  /** The current folder. */
  readonly cwd: string;
  /** The user's number; undefined on systems that have none. */
  readonly uid: number | undefined;
}

export interface ConfigFile {
  readonly path: string;
  readonly dialect: Dialect;
  /** Who may own it, by number, so that nobody else's file is obeyed; undefined for anybody. */
  readonly owners?: readonly number[];
}

export interface Found {
  /** Undefined when there is none, which is no mistake. */
  readonly file: ConfigFile | undefined;
  readonly warnings: readonly string[];
}

interface Place {
  readonly path: string;
  /** Whether others could have put a file there. */
  readonly isShared: boolean;
}

/**
 * Looks for the configuration: the flag's, `STORMLOCK_CONFIG`'s, ours, then the older tool's.
 * @param flag the value of -c
 * @throws ConfigError when a file that was named is missing, or one that is there cannot be used
 */
export function findConfig(flag: string | undefined, around: Surroundings): Found {
  const { env, home, cwd } = around;
  if (flag !== undefined) return { file: namedFile("--config", flag, cwd), warnings: [] };
  const variable = env["STORMLOCK_CONFIG"] ?? "";
  if (variable !== "") {
    return { file: namedFile("STORMLOCK_CONFIG", variable, cwd), warnings: [] };
  }

  const warnings: string[] = [];
  const folder = xdgFolder(env, "XDG_CONFIG_HOME", home);
  const places: readonly Place[] = [
    { path: join(folder, "stormlock", "config.toml"), isShared: false },
    { path: join(cwd, ".stormlock.cfg"), isShared: true },
    { path: join(folder, "stormlock.cfg"), isShared: false },
    { path: join(home, ".stormlock.cfg"), isShared: false },
  ];
  for (const place of places) {
    const file = fileAt(place, around, warnings);
    if (file !== undefined) return { file, warnings };
  }
  return { file: undefined, warnings };
}

function namedFile(key: string, written: string, cwd: string): ConfigFile {
  const path = resolve(cwd, written);
  try {
    const { isDirectory } = kindOf(path);
    if (isDirectory) throw unusable(path, "a folder", "a configuration file", key);
  } catch (error) {
    if (isMissing(error)) throw unusable(path, "no such file", "a configuration file", key);
    if (error instanceof ConfigError) throw error;
    throw unusable(path, reasonOf(error), "a file that can be read", key);
  }
  return { path, dialect: dialectOf(path) };
}

function fileAt(
  { path, isShared }: Place,
  { uid }: Surroundings,
  warnings: string[],
): ConfigFile | undefined {
  const owners = isShared && uid !== undefined ? [0, uid] : undefined;
  try {
    const { isDirectory, ownedBy } = kindOf(path);
    const stranger = ownedBy.find((owner) => owners?.includes(owner) === false);
    if (stranger !== undefined) {
      warnings.push(
        `${path}: ignored, since it belongs to user ${String(stranger)} and not to you or root; name it with -c to use it`,
      );
      return undefined;
    }
    if (isDirectory) throw unusable(path, "a folder", "a configuration file, or nothing");
  } catch (error) {
    if (isMissing(error)) return undefined;
    if (error instanceof ConfigError) throw error;
    if (isShared) {
      // A folder that one may stand in but not look into, as after `sudo -u`.
      warnings.push(`${path}: not looked at: ${reasonOf(error)}`);
      return undefined;
    }
    throw unusable(path, reasonOf(error), "a file that can be read, or HOME set to your own");
  }
  return { path, dialect: dialectOf(path), ...(owners === undefined ? {} : { owners }) };
}

// A link counts as well as what it leads to: either one's owner decides what is read.
// Not asynchronous: what Node would load for that costs a command 2 ms.
function kindOf(path: string): {
  readonly isDirectory: boolean;
  readonly ownedBy: readonly number[];
} {
  const link = lstatSync(path);
  const target = link.isSymbolicLink() ? statSync(path) : link;
  return { isDirectory: target.isDirectory(), ownedBy: [link.uid, target.uid] };
}

function dialectOf(path: string): Dialect {
  return /\.(?:cfg|ini)$/iu.test(path) ? "ini" : "toml";
}

function unusable(path: string, found: string, expected: string, key?: string): ConfigError {
  return new ConfigError([
    key === undefined
      ? { file: path, key: "the file", found, expected }
      : { key, found: `${path}: ${found}`, expected },
  ]);
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOENT" || code === "ENOTDIR";
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "no permission to read it",
  EPERM: "no permission to read it",
  EISDIR: "a folder",
  ELOOP: "a circle of links",
};

/** What the system says is wrong, in words. */
export function reasonOf(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? message;
}
