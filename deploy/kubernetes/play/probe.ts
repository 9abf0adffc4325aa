// How a kubelet asks: from the node, at the pod's address.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { ContainerPlace } from "./container.js";
import type { Container, Probe } from "./model.js";

const run = promisify(execFile);

// In the place of timeoutSeconds: a machine that runs tests may be slower than any node.
const WITHIN_SECONDS = 30;

/** Whether a probe passes now. */
export async function passes(
  { httpGet }: Probe,
  { ports = [] }: Container,
  { node, sandbox }: Pick<ContainerPlace, "node" | "sandbox">,
): Promise<boolean> {
  if (httpGet === undefined) throw new Error("only HTTP probes are played here");
  const { port: wanted, path = "/" } = httpGet;
  const port = ports.find(({ name }) => name === wanted)?.containerPort ?? wanted;
  const url = `http://${sandbox.address}:${String(port)}${path}`;
  const quietly = ["--silent", "--fail", "--noproxy", "*", "--output", "/dev/null"];
  const asking = ["curl", ...quietly, "--max-time", String(WITHIN_SECONDS), url];
  const [program = "", ...args] = [...node.entering, ...asking];
  try {
    await run(program, args, { timeout: (WITHIN_SECONDS + 10) * 1000 });
    return true;
  } catch {
    return false;
  }
}
