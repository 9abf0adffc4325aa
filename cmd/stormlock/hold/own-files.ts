import { lstatSync, unlinkSync } from "node:fs";

/** A file that is there while locks are held, told from whatever else has its name. */
export interface OwnFile {
  readonly path: string;
  /** Where it is written before it gets its name; nobody else uses this one. */
  readonly temporary: string;
  readonly device: string;
  readonly inode: string;
  /**
   * When it was made, and when it was written: a file number alone is used again. Whoever touches
   * it changes the second; where a file system does not know the first, the second has to do.
   */
  readonly bornNs: string;
  readonly writtenNs: string;
}

/** @throws when there is no such file */
export function ownFile(path: string, temporary: string): OwnFile {
  return { path, temporary, ...marksOf(temporary) };
}

function marksOf(path: string): Omit<OwnFile, "path" | "temporary"> {
  const { dev, ino, birthtimeNs, mtimeNs } = lstatSync(path, { bigint: true });
  return {
    ...{ device: String(dev), inode: String(ino) },
    ...{ bornNs: String(birthtimeNs), writtenNs: String(mtimeNs) },
  };
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

function isOurs({ path, device, inode, bornNs, writtenNs }: OwnFile): boolean {
  try {
    const there = marksOf(path);
    if (there.device !== device || there.inode !== inode) return false;
    return (bornNs !== "0" && there.bornNs === bornNs) || there.writtenNs === writtenNs;
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
