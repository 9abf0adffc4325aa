import { randomBytes } from "node:crypto";
import { renameSync, unlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UsageError } from "../usage-error.js";
import type { SidecarWork } from "./order.js";
import { ownFile, removeOwnFiles, type OwnFile } from "./own-files.js";
import type { Hold } from "./taken-locks.js";

/** What others may read, whose umask has the last word. */
const MODE = 0o644;

/** The files of a sidecar: the tokens in one, and one that says by being there that all is held. */
export class ShownFiles {
  readonly #tokenFile: string | undefined;
  readonly #readyFile: string | undefined;
  #files: readonly OwnFile[] = [];

  /**
   * Removes what an earlier run has left, and proves that the files can be made.
   * @throws UsageError when they cannot
   */
  constructor({ tokenFile, readyFile }: SidecarWork) {
    this.#tokenFile = tokenFile;
    this.#readyFile = readyFile;
    for (const path of this.#paths) clear(path);
  }

  get areWanted(): boolean {
    return this.#paths.length > 0;
  }

  /**
   * Writes the files under other names. Their guardian is to be told of them before they are
   * shown.
   * @throws UsageError when they cannot be written
   */
  write(holds: readonly Hold[]): readonly OwnFile[] {
    const files: OwnFile[] = [];
    this.#files = files;
    if (this.#tokenFile !== undefined) files.push(written(this.#tokenFile, tokenText(holds)));
    if (this.#readyFile !== undefined) files.push(written(this.#readyFile, ""));
    return files;
  }

  /**
   * Gives the files their names: the one that says that all is held comes last.
   * @returns false when they were removed in the meantime, since it was too late
   */
  show(): boolean {
    try {
      for (const { path, temporary } of this.#files) renameSync(temporary, path);
      return true;
    } catch (error) {
      this.remove();
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  }

  /** Removes them, the last one first. */
  remove(): void {
    removeOwnFiles(this.#files.toReversed());
    this.#files = [];
  }

  get #paths(): readonly string[] {
    return [this.#tokenFile, this.#readyFile].filter((path) => path !== undefined);
  }
}

/** One token alone, as it is most easily read; of several, each behind its resource and a tab. */
function tokenText(holds: readonly Hold[]): string {
  const [only] = holds;
  if (holds.length === 1 && only !== undefined) return `${String(only.token)}\n`;
  return holds.map(({ resource, token }) => `${resource}\t${String(token)}\n`).join("");
}

function clear(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw unusable(path, error);
  }
  removeOwnFiles([written(path, "")]);
}

function written(path: string, text: string): OwnFile {
  const name = `.${basename(path)}.${randomBytes(8).toString("hex")}`;
  const temporary = join(dirname(path), name);
  try {
    writeFileSync(temporary, text, { flag: "wx", mode: MODE });
    return ownFile(path, temporary);
  } catch (error) {
    throw unusable(path, error);
  }
}

function unusable(path: string, error: unknown): UsageError {
  const { code = "", message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOENT: "its directory does not exist; create it first",
    ENOTDIR: "its directory is none; name another place",
    EISDIR: "it is a directory; name a file",
    EACCES: "this user may not write to its directory; choose another one",
    EPERM: "it may not be replaced; name a file that may",
    EROFS: "its file system is read-only; choose another one",
    ENOSPC: "the disk is full",
  };
  return new UsageError(`the file ${path} cannot be written: ${reasons[code] ?? message}`);
}
