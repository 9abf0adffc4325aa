// How a kubelet asks: from the node, at the pod's address.

import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import type { ContainerPlace } from "./container.js";
import type { Container, Probe } from "./model.js";

const run = promisify(execFile);

// In the place of timeoutSeconds: a machine that runs tests may be slower than any node.
const WITHIN_SECONDS = 30;
const GRPC_PROBE = resolve("deploy/kubernetes/play/grpc-probe.js");

/** Whether a probe passes now. */
export async function passes(
  { httpGet, grpc }: Probe,
  { ports = [] }: Container,
  { node, sandbox }: Pick<ContainerPlace, "node" | "sandbox">,
): Promise<boolean> {
  const ask = httpGet === undefined ? askByGrpc : askByHttp;
  const [program = "", ...args] = [...node.entering, ...ask()];
  try {
    await run(program, args, { timeout: (WITHIN_SECONDS + 10) * 1000 });
    return true;
  } catch {
    return false;
  }

  function askByHttp(): string[] {
    const { port: wanted = 0, path = "/" } = httpGet ?? {};
    const port = ports.find(({ name }) => name === wanted)?.containerPort ?? wanted;
    const url = `http://${sandbox.address}:${String(port)}${path}`;
    const quietly = ["--silent", "--fail", "--noproxy", "*", "--output", "/dev/null"];
    return ["curl", ...quietly, "--max-time", String(WITHIN_SECONDS), url];
  }

  function askByGrpc(): string[] {
    if (grpc === undefined) throw new Error("this kind of probe is not played here");
    const address = `${sandbox.address}:${String(grpc.port)}`;
    return [process.execPath, GRPC_PROBE, address, grpc.service ?? "", String(WITHIN_SECONDS)];
  }
}
