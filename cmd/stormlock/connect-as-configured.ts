import type { ClientConfig } from "../../src/config/index.js";
import { connect } from "../../src/connect.js";
import type { LockClient } from "../../src/rpc/client.js";
import { asConfigMistake, readPem } from "./pem.js";

/** A client of the configured daemons, over gRPC. */
export async function connectAsConfigured(
  { servers, ca, cert, key }: ClientConfig,
  patienceMs: number,
): Promise<LockClient> {
  const pem = {
    ...(ca === undefined ? {} : { ca: await readPem("ca", ca) }),
    ...(cert === undefined ? {} : { cert: await readPem("cert", cert) }),
    ...(key === undefined ? {} : { key: await readPem("key", key) }),
  };
  try {
    return connect({ servers, ...pem, patienceMs });
  } catch (thrown) {
    throw asConfigMistake(thrown);
  }
}
