import type { Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import type { DescMethod, Message } from "@bufbuild/protobuf";
import {
  Server as GrpcServer,
  ServerCredentials,
  type ConnectionInjector,
  type handleUnaryCall,
  type ServerUnaryCall,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { HealthImplementation } from "grpc-health-check";
import { LockService as LockServiceDescriptor } from "../../gen/stormlock/v1/lock_pb.js";
import { Departure, type DepartureSignal } from "../../lock/departure.js";
import { asLockError, LockError } from "../../lock/errors.js";
import { LIMITS } from "../../lock/limits.js";
import { overloadedError } from "../../lock/refusals.js";
import type { Admission } from "../admission.js";
import type { Calls } from "../calls.js";
import type { HoldHub } from "../../lock/daemon/hold-hub.js";
import type { CallContext, LockService } from "../service.js";
import { grpcDefinition, methodPath, type Received } from "./definition.js";
import { guardStreams, isOver } from "./guard.js";
import { addHealth } from "./health-service.js";
import { HeldBack } from "./held-back.js";
import { serveHold, type HoldCall } from "./hold-door.js";
import { addReflection } from "./reflection.js";
import { RefusedStreams } from "./refused-streams.js";
import { failedStatus } from "./trailer.js";
import { CallWatch } from "./watch.js";

// Ten thousand callers may wait on one connection, and others go on with their work there.
const MOST_STREAMS = 16_384;

// A peer that has vanished is noticed within half a minute; so is one whose session has failed,
// since Node no longer reads its socket and would never learn that it has gone. The timeout is long because
// grpc-js judges by the timer alone: a pause of ours must not look like a death of theirs.
const PINGS: Pings = { everyMs: 20_000, timeoutMs: 10_000 };

/** How a connection is asked whether somebody is still there. */
export interface Pings {
  readonly everyMs: number;
  readonly timeoutMs: number;
}

export interface GrpcDoorOptions {
  readonly service: LockService;
  readonly holds: HoldHub;
  readonly calls: Calls;
  readonly admission: Admission;
  readonly pings?: Pings;
}

/** The gRPC door: the lock service, health and reflection, on connections that are given to it. */
export class GrpcDoor implements AsyncDisposable {
  readonly #server: GrpcServer;
  readonly #injector: ConnectionInjector;
  readonly #watch: CallWatch;
  readonly #refused: RefusedStreams;
  readonly #calls: Calls;
  readonly #health: HealthImplementation;
  readonly #identities = new WeakMap<PeerCertificate, string>();

  constructor({ service, holds, calls, admission, pings = PINGS }: GrpcDoorOptions) {
    this.#calls = calls;
    this.#refused = new RefusedStreams(calls.clock, overloadedError());
    this.#watch = new CallWatch(calls);
    this.#server = new GrpcServer({
      "grpc.max_receive_message_length": LIMITS.messageBytes,
      "grpc.max_concurrent_streams": MOST_STREAMS,
      "grpc.keepalive_time_ms": pings.everyMs,
      "grpc.keepalive_timeout_ms": pings.timeoutMs,
      "grpc.enable_channelz": 0,
      interceptors: [this.#watch.interceptor],
    });
    const heldBack = new HeldBack(calls.clock);
    guardStreams(this.#server, (path, stream, begin) => {
      if (path === HOLD) heldBack.expectHeartbeats(stream);
      if (path !== ACQUIRE || isOver(stream)) {
        begin();
        return;
      }
      const refuse = (): void => {
        this.#calls.refused(path);
        this.#refused.refuse(stream);
      };
      const { isCrowded } = admission.enter({ begin, refuse, isGone: () => isOver(stream) });
      if (isCrowded) heldBack.add(stream.session);
    });
    this.#server.addService(
      grpcDefinition(LockServiceDescriptor),
      this.#handlers(service, holds, admission),
    );
    this.#health = addHealth(this.#server, {
      ...{ "": "SERVING", [SERVICE]: "SERVING" },
      [LIVENESS]: "SERVING",
    });
    addReflection(this.#server);
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  /**
   * Serves a connection.
   * @param identity who the other side has proven to be
   */
  take(socket: Socket | TLSSocket, identity?: string): void {
    if (identity !== undefined) this.#remember(socket as TLSSocket, identity);
    this.#injector.injectConnection(socket);
  }

  /** What grpc.health.v1 says from now on of the daemon and its service; that it lives stays true. */
  setServing(isServing: boolean): void {
    const status = isServing ? "SERVING" : "NOT_SERVING";
    for (const name of ["", SERVICE]) this.#health.setStatus(name, status);
  }

  /** Tells clients to go elsewhere, and lets what runs finish, for so long. */
  finish(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#calls.clock.after(withinMs, resolve);
      this.#server.tryShutdown(() => {
        cancel();
        resolve();
      });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#watch.stop();
    this.#refused.stop();
    this.#server.forceShutdown();
    return Promise.resolve();
  }

  // grpc-js asks the socket for the certificate in every call, and Node parses it every time.
  // A connection has one, so it is read once.
  #remember(socket: TLSSocket, identity: string): void {
    const certificate = socket.getPeerCertificate();
    this.#identities.set(certificate, identity);
    socket.getPeerCertificate = () => certificate as never;
  }

  #handlers(
    service: LockService,
    hub: HoldHub,
    admission: Admission,
  ): UntypedServiceImplementation {
    const unary = LockServiceDescriptor.methods.filter(({ methodKind }) => methodKind === "unary");
    const onRefused = (): void => {
      this.#calls.refusedOnStream();
    };
    const hold = (call: HoldCall): void => {
      serveHold(call, { hub, admission, onRefused }, this.#identityOf(call));
    };
    return {
      ...Object.fromEntries(
        unary.map((method) => [method.localName, this.#handler(method, methodOf(service, method))]),
      ),
      [LockServiceDescriptor.method.hold.localName]: hold,
    };
  }

  #handler(method: DescMethod, answer: ServiceMethod): handleUnaryCall<Received, Message> {
    return (call, callback) => {
      const { request } = call;
      if (request instanceof LockError) {
        callback(failedStatus(request));
        return;
      }
      const context = new GrpcContext(call, this.#identityOf(call));
      answer(request, context).then(
        (response) => {
          context.isAnswered = true;
          callback(null, response);
        },
        (thrown: unknown) => {
          context.isAnswered = true;
          if (!(thrown instanceof LockError)) {
            this.#calls.failed(methodPath(method), request, thrown);
          }
          callback(failedStatus(asLockError(thrown)));
        },
      );
    };
  }

  #identityOf(
    call: Pick<ServerUnaryCall<Received, Message>, "getAuthContext">,
  ): string | undefined {
    const certificate = call.getAuthContext().sslPeerCertificate;
    return certificate === undefined ? undefined : this.#identities.get(certificate);
  }
}

const SERVICE = LockServiceDescriptor.typeName;
/**
 * What a probe asks for that restarts who does not answer: serving as long as the process is,
 * whatever becomes of its stores. A restart mends none of them, and sends every holder elsewhere.
 */
export const LIVENESS = "liveness";
const ACQUIRE = methodPath(LockServiceDescriptor.method.acquire);
const HOLD = methodPath(LockServiceDescriptor.method.hold);

type ServiceMethod = (request: Message, context: CallContext) => Promise<Message>;

function methodOf(service: LockService, method: DescMethod): ServiceMethod {
  const name = method.localName as keyof LockService;
  // The descriptor and the class come of the same proto; the compiler cannot follow the names.
  return (service[name] as unknown as ServiceMethod).bind(service);
}

/** What the service knows of a call. Most calls never ask for the signal: it is made when they do. */
class GrpcContext implements CallContext {
  readonly identity: string | undefined;
  isAnswered = false;
  readonly #call: ServerUnaryCall<Received, Message>;
  #departure: Departure | undefined;

  constructor(call: ServerUnaryCall<Received, Message>, identity: string | undefined) {
    this.#call = call;
    this.identity = identity;
  }

  get signal(): DepartureSignal {
    if (this.#departure === undefined) {
      const departure = new Departure();
      this.#departure = departure;
      const depart = (): void => {
        if (!this.isAnswered) departure.depart();
      };
      if (this.#call.cancelled) depart();
      else this.#call.once("cancelled", depart);
    }
    return this.#departure;
  }
}
