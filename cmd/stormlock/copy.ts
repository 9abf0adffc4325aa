// Puts this program where somebody else runs it from: an image that has no shell and no `cp` can
// thereby hand it on to another container.

import { randomBytes } from "node:crypto";
import {
  chmodSync,
  constants,
  copyFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Run } from "./command.js";
import { ExitCode } from "./exit-code.js";
import { UsageError } from "./usage-error.js";

// Whoever may read it may run it, whatever the umask.
const MODE = 0o755;

export const copy: Run = (words, { output }) => {
  const file = resolve(words.positional("FILE"));
  // Under another name first: whoever runs a file of that name goes on with the old one, and
  // nobody finds half a program.
  const unfinished = join(dirname(file), `.${basename(file)}.${randomBytes(8).toString("hex")}`);
  const isSingleFile = process.getBuiltinModule("node:sea").isSea();
  try {
    if (isSingleFile) copyFileSync(process.execPath, unfinished, constants.COPYFILE_EXCL);
    else writeFileSync(unfinished, launcher(), { flag: "wx" });
    chmodSync(unfinished, MODE);
    renameSync(unfinished, file);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw unwritable(file, error);
  }
  if (output.isJson) output.json({ file, single_file: isSingleFile });
  return Promise.resolve(ExitCode.OK);
};

/** A script that runs the program with this Node, from where it is. */
function launcher(): string {
  const quoted = (path: string): string => `'${path.replaceAll("'", `'\\''`)}'`;
  const program = realpathSync(process.argv[1] ?? "");
  return `#!/bin/sh\nexec ${quoted(process.execPath)} ${quoted(program)} "$@"\n`;
}

function unwritable(file: string, error: unknown): UsageError {
  const { code = "", message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOENT: "its directory does not exist; create it first",
    ENOTDIR: "its directory is none; name another place",
    EISDIR: "it is a directory; name a file in it",
    EACCES: "this user may not write to its directory; choose another one",
    EROFS: "its file system is read-only; choose another one",
    ENOSPC: "the disk is full",
  };
  return new UsageError(`${file} cannot be written: ${reasons[code] ?? message}`);
}
