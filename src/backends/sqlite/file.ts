// Where the store file may be, and how it comes to be there.

import {
  accessSync,
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { dirname } from "node:path";
import { LockError } from "../../lock/errors.js";

const OWNER_ONLY_DIRECTORY = 0o700;
const OWNER_ONLY_FILE = 0o600;

/**
 * Makes sure that the file is there and can be used by this user. A new one, and its
 * directory, are for their owner alone: whoever may write there can release every lock.
 * @throws LockError "unavailable"
 */
export function createMissing(path: string): void {
  const directory = dirname(path);
  try {
    if (!isThere(path)) {
      mkdirSync(directory, { recursive: true, mode: OWNER_ONLY_DIRECTORY });
      createFile(path);
    }
    // SQLite would open a file that it cannot write, and fail at the first question.
    accessSync(path, constants.R_OK | constants.W_OK);
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new LockError("unavailable", complaint(error, path, directory), { cause: error });
  }
}

function isThere(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) return found !== undefined;
  throw Object.assign(new Error("is a directory"), { code: "EISDIR" });
}

// Closing any descriptor of a file drops all of this process's locks on it, other threads'
// too. So the file must never be opened here while SQLite may have it open: it is made under
// a name that nobody knows, closed, and then given its own.
function createFile(path: string): void {
  const draft = `${path}.new-${String(process.pid)}-${Math.random().toString(36).slice(2)}`;
  closeSync(openSync(draft, "wx", OWNER_ONLY_FILE));
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    unlinkSync(draft);
  }
}

function complaint(error: unknown, path: string, directory: string): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "EISDIR":
      return `the store ${path} is a directory: name a file in it, e.g. ${path}/locks.db`;
    case "EACCES":
      return `the store ${path} cannot be written by this user: give read and write permission on it and on its directory, or name another path`;
    case "EROFS":
      return `the store ${path} is on a read-only file system: name another path`;
    case "ENOSPC":
    case "EDQUOT":
      return `there is no space left for the store ${path}: make room on its disk, or name another path`;
    case "ENOTDIR":
    case "EEXIST":
      return `the store ${path} cannot be made: a part of ${directory} is a file, not a directory; name another path`;
    case "EPERM":
      return `the store ${path} cannot be made: its file system allows no hard links, or ${directory} is protected; name another path`;
    default:
      return `the store ${path} cannot be made: ${message}`;
  }
}
