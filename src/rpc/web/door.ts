import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { createContextValues } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { LIMITS } from "../../lock/limits.js";
import type { Admission } from "../admission.js";
import type { Calls } from "../calls.js";
import { Code, codeName } from "../code.js";
import type { Metrics } from "../metrics.js";
import type { Readiness } from "../readiness.js";
import type { LockService } from "../service.js";
import { SERVER_NAME } from "../json-message.js";
import { sayError, sayText, send } from "./answer.js";
import { readBody } from "./body.js";
import { refusal, type Entrance } from "./guard.js";
import { routes, VISIT } from "./routes.js";

// How long a client may take to send its headers, and its whole request.
const REQUEST_MS = 10_000;

// How long an idle connection is kept for the next request.
const IDLE_MS = 60_000;

// How often Node looks for connections that are over these limits.
const SWEEP_MS = 1000;

const HINT =
  "there is nothing here: the API is at POST /stormlock.v1.LockService/METHOD; see also /healthz, /readyz and /metrics";

/** Where a connection came in, and who it is from. */
export interface Visitor {
  readonly entrance: Entrance;
  readonly identity: string | undefined;
}

export interface WebDoorOptions {
  readonly service: LockService;
  readonly calls: Calls;
  readonly admission: Admission;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
}

/** The web door: Connect and gRPC-Web over HTTP/1.1, health and metrics, on connections given to it. */
export class WebDoor implements AsyncDisposable {
  readonly #server: Server;
  readonly #visitors = new WeakMap<Socket, Visitor>();
  readonly #routes: ReadonlyMap<string, UniversalHandler>;
  readonly #calls: Calls;
  readonly #readiness: Readiness;
  readonly #metrics: Metrics;

  constructor({ service, calls, admission, readiness, metrics }: WebDoorOptions) {
    this.#calls = calls;
    this.#readiness = readiness;
    this.#metrics = metrics;
    this.#routes = routes(service, calls, admission);
    this.#server = createServer(
      {
        headersTimeout: REQUEST_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: IDLE_MS,
        connectionsCheckingInterval: SWEEP_MS,
      },
      (request, response) => {
        this.#receive(request, response).catch((thrown: unknown) => {
          calls.log.error({ err: thrown }, "a request has failed");
          sayError(response, 500, "internal", "this request could not be answered");
          response.destroy();
        });
      },
    );
    // Node's limits on slow clients begin to work when the server listens. This one never does.
    this.#server.emit("listening");
  }

  /** Serves a connection. */
  take(socket: Socket, visitor: Visitor): void {
    this.#visitors.set(socket, visitor);
    // A client may end its side as soon as it has asked.
    socket.allowHalfOpen = true;
    this.#server.emit("connection", socket);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    return Promise.resolve();
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader("server", SERVER_NAME);
    const visitor = this.#visitors.get(request.socket);
    if (visitor === undefined) throw new Error("a request on a connection that was never taken");
    const refused = refusal(request.headers, visitor.entrance);
    if (refused !== undefined) {
      const code = refused.status === 400 ? "invalid_argument" : "permission_denied";
      response.shouldKeepAlive = false;
      sayError(response, refused.status, code, refused.message);
      return;
    }
    const target = request.url ?? "";
    const path = target.split("?", 1)[0] ?? "";
    const handler = this.#routes.get(path);
    if (handler !== undefined) await this.#call(handler, path, target, request, response, visitor);
    else await this.#page(path, request, response);
  }

  async #page(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isPage = path === "/healthz" || path === "/readyz" || path === "/metrics";
    if (isPage && request.method !== "GET" && request.method !== "HEAD") {
      sayText(response, 405, "use GET");
      return;
    }
    switch (path) {
      case "/healthz":
        sayText(response, 200, "alive");
        return;
      case "/readyz": {
        const complaint = await this.#readiness.complaint();
        if (complaint === undefined) sayText(response, 200, "ready");
        else sayText(response, 503, complaint);
        return;
      }
      case "/metrics":
        send(response, 200, this.#metrics.contentType, await this.#metrics.text());
        return;
      default:
        sayText(response, 404, HINT);
    }
  }

  async #call(
    handler: UniversalHandler,
    path: string,
    target: string,
    request: IncomingMessage,
    response: ServerResponse,
    { identity }: Visitor,
  ): Promise<void> {
    const call = this.#calls.open(path, peerOf(request.socket));
    // Ended by its handler, if it gets so far.
    const leave = new AbortController();
    response.once("close", () => {
      leave.abort();
      call.end(Code.CANCELLED, "the caller has gone");
    });
    const body = await bodyOf(request);
    if (body === "gone") return;
    if (body === "too-large") {
      const message = `the request's body is larger than ${String(LIMITS.messageBytes)} bytes, which is the limit`;
      call.end(Code.INVALID_ARGUMENT, message);
      response.shouldKeepAlive = false;
      sayError(response, 413, "invalid_argument", message);
      return;
    }
    const answer = await handler({
      httpVersion: request.httpVersion,
      method: request.method ?? "",
      // Connect reads the query alone; the client's own Host would have to be trusted to parse.
      url: `http://stormlock${target}`,
      header: headersOf(request),
      body: once(body),
      signal: leave.signal,
      contextValues: createContextValues().set(VISIT, { call, identity }),
    });
    // Whatever has not come as far as the handler was no request of this API.
    if (answer.status >= 400) {
      call.end(
        Code.INVALID_ARGUMENT,
        `${codeName(Code.INVALID_ARGUMENT)}, HTTP ${String(answer.status)}`,
      );
    }
    await universalResponseToNodeResponse(answer, response);
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer | "too-large" | "gone"> {
  try {
    return (await readBody(request)) ?? "too-large";
  } catch {
    return "gone";
  }
}

function headersOf(request: IncomingMessage): Headers {
  const headers = new Headers();
  const { rawHeaders } = request;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    headers.append(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
  }
  return headers;
}

// eslint-disable-next-line @typescript-eslint/require-await -- the form that Connect asks for
async function* once(body: Buffer): AsyncGenerator<Uint8Array> {
  if (body.length > 0) yield body;
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return remoteAddress === undefined ? "unix" : `${remoteAddress}:${String(remotePort)}`;
}
