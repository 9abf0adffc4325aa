import { promises as files } from "node:fs"; // loaded at its first use
import type { ClientConfig } from "../../src/config/index.js";
import { ConfigError, UnusableConfigError } from "../../src/config/errors.js";
import { LockError } from "../../src/lock/errors.js";

/** What a file is for, by the name of its flag and its key in the configuration. */
export type PemUse = "ca" | "cert" | "key";

/**
 * Reads a file of certificates, or of a key. TLS itself passes over what is none, and then
 * trusts nobody without saying why.
 * @throws ConfigError
 */
export async function readPem(use: PemUse, path: string): Promise<Buffer> {
  const wanted = use === "key" ? "PRIVATE KEY" : "CERTIFICATE";
  const complain = (found: string, cause?: unknown): ConfigError =>
    new ConfigError(
      [{ key: use, found: `${path}: ${found}`, expected: `a PEM file with a ${wanted}` }],
      cause,
    );
  let pem: Buffer;
  try {
    pem = await files.readFile(path);
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    throw complain(code === "ENOENT" ? "no such file" : message, thrown);
  }
  if (!new RegExp(`^-----BEGIN (?:[A-Z]+ )?${wanted}-----`, "mu").test(pem.toString("latin1")))
    throw complain("none in it");
  return pem;
}

type ClientSecurity = Pick<ClientConfig, PemUse | "tls">;

/** Whether TLS is to be spoken to daemons. */
export function isSecure({ tls, ca, cert, key }: ClientSecurity): boolean {
  return tls === true || ca !== undefined || cert !== undefined || key !== undefined;
}

/**
 * Reads what a client shows and trusts; undefined where no TLS is asked for.
 * @throws ConfigError
 */
export async function readClientTls(
  config: ClientSecurity,
): Promise<Partial<Record<PemUse, Buffer>> | undefined> {
  if (!isSecure(config)) return undefined;
  const { ca, cert, key } = config;
  return {
    ...(ca === undefined ? {} : { ca: await readPem("ca", ca) }),
    ...(cert === undefined ? {} : { cert: await readPem("cert", cert) }),
    ...(key === undefined ? {} : { key: await readPem("key", key) }),
  };
}

/**
 * What was thrown when something was opened as configured: a field that is wrong is then the
 * configuration's mistake, not the caller's.
 */
export function asConfigMistake(thrown: unknown): unknown {
  if (!(thrown instanceof LockError) || thrown.kind !== "invalid-field") return thrown;
  return new UnusableConfigError(thrown.message, { cause: thrown });
}
