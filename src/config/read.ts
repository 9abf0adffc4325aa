import { promises as files } from "node:fs"; // loaded at its first use: most commands read none
import type { FileHandle } from "node:fs/promises";
import type { Document } from "./document.js";
import { ConfigError } from "./errors.js";
import { understand, type FileConfig } from "./file-config.js";
import { reasonOf, type ConfigFile } from "./find.js";
import { readIniDocument } from "./ini-document.js";
import type { Environment } from "./substitute.js";
import { readTomlDocument } from "./toml-document.js";

// Nobody writes that much by hand; a device or a log named by mistake would go on for ever.
const MOST_BYTES = 1024 * 1024;

/**
 * Reads a configuration file. What is wrong with its contents is in `complaints`.
 * @throws ConfigError when it cannot be read
 */
export async function readConfig(file: ConfigFile, env: Environment): Promise<FileConfig> {
  const text = await readText(file);
  const document: Document =
    file.dialect === "ini"
      ? readIniDocument(file.path, text)
      : await readTomlDocument(file.path, text, env);
  return understand(document);
}

async function readText({ path, owners }: ConfigFile): Promise<string> {
  const unusable = (found: string, expected: string, cause?: unknown): ConfigError =>
    new ConfigError([{ file: path, key: "the file", found, expected }], cause);
  try {
    await using file = await files.open(path, "r");
    const { uid } = await file.stat();
    // Looked at again, now that nobody can put another file in its place.
    if (owners?.includes(uid) === false) {
      throw unusable(`a file of user ${String(uid)}`, "one of your own");
    }
    const bytes = await readBytes(file);
    if (bytes === undefined) {
      throw unusable(`more than ${String(MOST_BYTES)} bytes`, "a configuration file");
    }
    const text = decode(bytes);
    if (text === undefined) throw unusable("bytes that are not UTF-8", "UTF-8");
    return text;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw unusable(reasonOf(error), "a file that can be read", error);
  }
}

// Not readFile: a pipe has no size, and a device has no end.
async function readBytes(file: FileHandle): Promise<Uint8Array | undefined> {
  const buffer = new Uint8Array(MOST_BYTES + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
  }
  return undefined;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
