import {
  status as Status,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Server,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { HealthImplementation, type ServingStatusMap } from "grpc-health-check";

// As much of a stranger's name as an answer, and so the log, repeats.
const LONGEST_NAME = 200;

interface Question {
  readonly service: string;
}

interface Answer {
  readonly status: string;
}

interface Handlers {
  readonly check: handleUnaryCall<Question, Answer>;
  readonly watch: handleServerStreamingCall<Question, Answer>;
}

/**
 * grpc.health.v1 for the services that are in the map, now and for ever. The library (2.1) keeps a
 * set for each name that anybody has ever watched, and repeats names of any length: so names that
 * are not in the map are answered here, as the protocol says, and never come to it.
 */
export function addHealth(server: Server, services: ServingStatusMap): HealthImplementation {
  const health = new HealthImplementation(services);
  const isKnown = ({ service }: Question): boolean => Object.hasOwn(services, service);
  const guarded = ({ check, watch }: Handlers): Handlers => ({
    check: (call, answer) => {
      if (isKnown(call.request)) check(call, answer);
      else answer({ code: Status.NOT_FOUND, details: unknownWords(call.request) });
    },
    // Not ended: its caller may go on waiting for the service to appear, which costs it a stream.
    watch: (call) => {
      if (isKnown(call.request)) watch(call);
      else call.write({ status: "SERVICE_UNKNOWN" });
    },
  });
  health.addToServer({
    addService: (definition, handlers: UntypedServiceImplementation) => {
      const both = guarded(handlers as unknown as Handlers);
      server.addService(definition, { ...handlers, ...both });
    },
  });
  return health;
}

function unknownWords({ service }: Question): string {
  const name = service.length > LONGEST_NAME ? `${service.slice(0, LONGEST_NAME)}…` : service;
  return `there is no service ${JSON.stringify(name)} here`;
}
