// How a kubelet asks: from the node, at the pod's address.

import type { ProbeQuestion } from "./agent.js";
import type { ContainerPlace } from "./container.js";
import type { Container, Probe } from "./model.js";

// In the place of timeoutSeconds: a machine that runs tests may be slower than any node.
const WITHIN_MS = 30_000;

/** Whether a probe passes now. */
export async function passes(
  probe: Probe,
  container: Container,
  { node, sandbox }: Pick<ContainerPlace, "node" | "sandbox">,
): Promise<boolean> {
  try {
    return await node.agent.passes(questionOf(probe, container, sandbox.address), WITHIN_MS);
  } catch {
    // The node itself is being taken down.
    return false;
  }
}

function questionOf(
  { httpGet, grpc }: Probe,
  { ports = [] }: Container,
  address: string,
): ProbeQuestion {
  if (grpc !== undefined)
    return {
      grpc: { address: `${address}:${String(grpc.port)}`, service: grpc.service ?? "" },
    };
  if (httpGet === undefined) throw new Error("only HTTP and gRPC probes are played here");
  const { port: wanted, path = "/" } = httpGet;
  const port = ports.find(({ name }) => name === wanted)?.containerPort ?? wanted;
  return { http: `http://${address}:${String(port)}${path}` };
}
