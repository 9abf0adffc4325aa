import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Server } from "@grpc/grpc-js";

type StreamHandler = (
  interceptors: unknown,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
) => void;

/** Decides when a call is begun, if at all. Whoever does not begin it answers it. */
export type StreamGate = (path: string, stream: ServerHttp2Stream, begin: () => void) => void;

/**
 * Asks the gate about every call, before anything of gRPC's is done for it; and keeps two packets from ending the process. grpc-js (1.14) answers a call of an unknown method
 * or content type without looking whether its stream is still there: a caller that sends a reset
 * along with its headers makes it throw where nobody catches.
 *
 * Has to be called before the server gets its first connection injector.
 * @throws Error when grpc-js has changed and this no longer guards anything
 */
export function guardStreams(server: Server, gate: StreamGate): void {
  const inside = server as unknown as { _streamHandler?: StreamHandler };
  const handle = inside._streamHandler?.bind(server);
  if (handle === undefined) throw new Error("grpc-js has no _streamHandler to guard any more");
  inside._streamHandler = (interceptors, stream, headers) => {
    // Who waits to be begun has no other listener yet: a broken connection would end the process.
    stream.on("error", ignore);
    gate(headers[":path"] ?? "", stream, () => {
      if (isOver(stream)) {
        stream.destroy();
        return;
      }
      try {
        handle(interceptors, stream, headers);
      } catch {
        stream.destroy();
      }
    });
  };
}

/** Whether nobody is there any more who could read an answer. */
export function isOver({ closed, destroyed, session }: ServerHttp2Stream): boolean {
  // A stream that is gone has none, whatever the types say.
  const { destroyed: isCut = true } = session ?? {};
  return destroyed || closed || isCut;
}

function ignore(): void {
  // It has ended already, which is all there is to know.
}
