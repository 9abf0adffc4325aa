import { lstatSync, unlinkSync } from "node:fs";

/** A file that is there while locks are held, told from whatever else has its name. */
export interface OwnFile {
  readonly path: string;
  /** Where it is written before it gets its name; nobody else uses this one. */
  readonly temporary: string;
  /** Its inode and when it was written: a file number alone is used again. */
  readonly inode: string;
  readonly writtenNs: string;
}

/** @throws when there is no such file */
export function ownFile(path: string, temporary: string): OwnFile {
  const { ino, mtimeNs } = lstatSync(temporary, { bigint: true });
  return { path, temporary, inode: String(ino), writtenNs: String(mtimeNs) };
}

/**
 * Removes the files. The temporary name goes first: a process that was stopped just before it
 * gave a file its name finds nothing to name when it goes on. A file of somebody else, who has
 * the lock by now, is left alone.
 */
export function removeOwnFiles(files: readonly OwnFile[]): void {
  for (const { temporary } of files) removeFile(temporary);
  for (const file of files) if (isOurs(file)) removeFile(file.path);
}

function isOurs({ path, inode, writtenNs }: OwnFile): boolean {
  try {
    const { ino, mtimeNs } = lstatSync(path, { bigint: true });
    return String(ino) === inode && String(mtimeNs) === writtenNs;
  } catch {
    return false;
  }
}

// Called when a deadline has come: there is nobody to complain to.
function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already, or its directory is.
  }
}
