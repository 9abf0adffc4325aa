// The file in which users of libpq keep their passwords.

import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { ConnectionParts } from "./names.js";

// host:port:database:user:password, with a backslash before what is meant literally.
const FIELD = String.raw`((?:[^:\\]|\\.)*)`;
const LINE = new RegExp(`^(?!#)${new Array<string>(5).fill(FIELD).join(":")}`, "u");

const OTHERS = 0o077;

/**
 * The first password that the file has for this connection. The file is `PGPASSFILE`, or
 * `.pgpass` in the user's home; as with libpq, one that others may read is not used.
 */
export async function filedPassword(parts: ConnectionParts): Promise<string | undefined> {
  const { host, port, dbname, user } = parts;
  const wanted = [host, port, dbname, user];
  const { PGPASSFILE = "" } = process.env;
  const path = PGPASSFILE === "" ? ownPassFile() : PGPASSFILE;
  if (path === undefined) return undefined;
  for (const line of (await privateText(path)).split(/\r?\n/u)) {
    const [, ...fields] = LINE.exec(line) ?? [];
    const given = fields.map((field) => field.replace(/\\(.)/gu, "$1"));
    if (wanted.every((part, index) => fields[index] === "*" || given[index] === part)) {
      return given.at(-1);
    }
  }
  return undefined;
}

// In a container the user may be one who has no home at all.
function ownPassFile(): string | undefined {
  try {
    return join(homedir(), ".pgpass");
  } catch {
    return undefined;
  }
}

async function privateText(path: string): Promise<string> {
  try {
    const { mode } = await stat(path);
    return (mode & OTHERS) === 0 ? await readFile(path, "utf8") : "";
  } catch {
    return ""; // Most have none.
  }
}
