import type { ServerHttp2Stream } from "node:http2";
import type { Server } from "@grpc/grpc-js";

type StreamHandler = (
  interceptors: unknown,
  stream: Pick<ServerHttp2Stream, "closed" | "destroyed" | "destroy" | "on" | "session">,
  headers: unknown,
) => void;

/**
 * Keeps two packets from ending the process. grpc-js (1.14) answers a call of an unknown method
 * or content type without looking whether its stream is still there: a caller that sends a reset
 * along with its headers makes it throw where nobody catches.
 *
 * Has to be called before the server gets its first connection injector.
 * @throws Error when grpc-js has changed and this no longer guards anything
 */
export function guardStreams(server: Server): void {
  const inside = server as unknown as { _streamHandler?: StreamHandler };
  const handle = inside._streamHandler?.bind(server);
  if (handle === undefined) throw new Error("grpc-js has no _streamHandler to guard any more");
  inside._streamHandler = (interceptors, stream, headers) => {
    const { session } = stream;
    if (stream.destroyed || stream.closed || session === undefined || session.destroyed) {
      stream.on("error", ignore);
      stream.destroy();
      return;
    }
    try {
      handle(interceptors, stream, headers);
    } catch {
      stream.destroy();
    }
  };
}

function ignore(): void {
  // It has ended already, which is all there is to know.
}
