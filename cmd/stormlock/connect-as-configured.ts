import type { ClientConfig } from "../../src/config/index.js";
import { connect } from "../../src/connect.js";
import type { LockClient } from "../../src/rpc/client.js";
import { asConfigMistake, readClientTls } from "./pem.js";

/** A client of the configured daemons, over gRPC. */
export async function connectAsConfigured(
  config: ClientConfig,
  patienceMs: number,
): Promise<LockClient> {
  const pem = await readClientTls(config);
  try {
    return connect({ servers: config.servers, tls: pem !== undefined, ...pem, patienceMs });
  } catch (thrown) {
    throw asConfigMistake(thrown);
  }
}
