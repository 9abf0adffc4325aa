import type { IncomingMessage } from "node:http";
import { LIMITS } from "../../lock/limits.js";

/**
 * A request's whole body.
 * @returns undefined when it is larger than a message may be; the rest has not been read then
 */
export async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // `for await` would destroy the request, and the answer with it, when it is left early.
  const parts = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const chunk of parts) {
    bytes += chunk.length;
    if (bytes > LIMITS.messageBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
