import {
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethod,
  type DescService,
  type Message,
} from "@bufbuild/protobuf";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import { LockError } from "../../lock/errors.js";
import { LIMITS } from "../../lock/limits.js";

/** What a handler is given: a message, or why the bytes that came are none. */
export type Received<M extends Message = Message> = M | LockError;

/** The path by which a method is called. */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** What grpc-js needs to know of a service, made of its protobuf-es descriptor. */
export function grpcDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [method.localName, methodDefinition(method)]),
  );
}

function methodDefinition(method: DescMethod): MethodDefinition<Received, Message> {
  return {
    path: methodPath(method),
    requestStream: method.methodKind === "client_streaming" || isBidi(method),
    responseStream: method.methodKind === "server_streaming" || isBidi(method),
    requestSerialize: (message) => serialize(method.input, message as Message),
    requestDeserialize: (bytes) => receive(method.input, bytes),
    responseSerialize: (message) => serialize(method.output, message),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  };
}

function isBidi(method: DescMethod): boolean {
  return method.methodKind === "bidi_streaming";
}

/** A message's bytes, as the Buffer that grpc-js asks for; nothing is copied. */
export function serialize(schema: DescMessage, message: Message): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A message that has come. (grpc-js would answer a throw with INTERNAL, which means "ask again".) */
export function receive(schema: DescMessage, bytes: Buffer): Received {
  if (bytes.length > LIMITS.messageBytes) return tooLarge(bytes.length);
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new LockError(
      "invalid-field",
      `the request is no ${schema.typeName}: ${why}; send its protobuf encoding`,
      { field: "request", cause },
    );
  }
}

/** What is said of a message that is over the limit. */
export function tooLarge(bytes: number | undefined): LockError {
  const size = bytes === undefined ? "is larger" : `has ${String(bytes)} bytes`;
  return new LockError(
    "invalid-field",
    `the request ${size}; at most ${String(LIMITS.messageBytes)} bytes are allowed`,
    { field: "request" },
  );
}
