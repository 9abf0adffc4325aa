import { readFile } from "node:fs/promises";
import { ConfigError, type ClientConfig } from "../../src/config/index.js";
import { connect } from "../../src/connect.js";
import type { LockClient } from "../../src/rpc/client.js";
import { PATIENCE_MS } from "./ask.js";

/** A client of the configured daemons. */
export async function askDaemon({ servers, ca, cert, key }: ClientConfig): Promise<LockClient> {
  return connect({
    servers,
    ...(ca === undefined ? {} : { ca: await readPem("ca", ca) }),
    ...(cert === undefined ? {} : { cert: await readPem("cert", cert) }),
    ...(key === undefined ? {} : { key: await readPem("key", key) }),
    patienceMs: PATIENCE_MS,
  });
}

/**
 * Reads a PEM file.
 * @throws ConfigError
 */
export async function readPem(name: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    const found = code === "ENOENT" ? "no such file" : message;
    throw new ConfigError(
      [{ key: name, found: `${path}: ${found}`, expected: "a PEM file that can be read" }],
      thrown,
    );
  }
}
