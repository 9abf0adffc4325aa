// The messages that a command asks with, as JSON (proto3's mapping), without the library that
// knows all of them: to load that takes longer than to ask.

import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import type { Lease as LeaseMessage } from "../gen/stormlock/v1/lock_pb.js";
import { LockError } from "../lock/errors.js";
import { leaseFromMessage, NOT_HELD, RELEASED } from "./messages.js";
import { ERROR_DOMAIN, kindOfReason } from "./reason.js";
import type { AnswerOf, UnaryMethod } from "./transport.js";

/** Methods that can be asked in JSON. A list may be long: it takes the other way. */
export type JsonMethod = Exclude<UnaryMethod, "list">;

/** How a daemon names itself in the header of an answer, so that no stranger is taken for one. */
export const SERVER_NAME = "stormlock";

type Json = Readonly<Record<string, unknown>>;

const ANSWERS: { readonly [M in JsonMethod]: (json: Json) => AnswerOf<M> } = {
  acquire: (json) => ({ $typeName: "stormlock.v1.AcquireResponse", ...leaseIn(json) }),
  renew: (json) => ({ $typeName: "stormlock.v1.RenewResponse", ...leaseIn(json) }),
  release: ({ outcome }) => ({
    $typeName: "stormlock.v1.ReleaseResponse",
    outcome: outcome === "RELEASE_OUTCOME_RELEASED" ? RELEASED : NOT_HELD,
  }),
  current: (json) => ({ $typeName: "stormlock.v1.CurrentResponse", ...leaseIn(json) }),
  isHeld: ({ held }) => ({ $typeName: "stormlock.v1.IsHeldResponse", held: held === true }),
};

/** Whether a method can be asked in JSON. */
export function isJsonMethod(method: UnaryMethod): method is JsonMethod {
  return Object.hasOwn(ANSWERS, method);
}

/** The path of a method. */
export function jsonPath(method: JsonMethod): string {
  return `/stormlock.v1.LockService/${method.charAt(0).toUpperCase()}${method.slice(1)}`;
}

/** A request of these methods: texts, durations and labels are all that is in them. */
export function requestJson(request: object): string {
  return JSON.stringify(request, (_key, value: unknown) =>
    isDuration(value) ? durationText(value) : value,
  );
}

/** @throws SyntaxError or TypeError where it is none */
export function answerFromJson<M extends JsonMethod>(method: M, body: string): AnswerOf<M> {
  return ANSWERS[method](object(JSON.parse(body)));
}

/**
 * The error that a daemon's refusal means, if it is one in its own words.
 * @throws SyntaxError or TypeError where it is no JSON
 */
export function errorFromJson(body: string): LockError | undefined {
  const { message, details } = object(JSON.parse(body));
  if (!Array.isArray(details)) return undefined;
  const find = (type: string): Json | undefined => {
    const found = details.map(object).find((detail) => detail["type"] === type);
    return found === undefined ? undefined : object(found["debug"]);
  };
  const info = find("google.rpc.ErrorInfo");
  if (info?.["domain"] !== ERROR_DOMAIN) return undefined;
  const kind = kindOfReason(text(info["reason"]));
  if (kind === undefined) return undefined;
  const metadata = info["metadata"] === undefined ? {} : object(info["metadata"]);
  const { lease: holder } = leaseIn({ lease: find("stormlock.v1.LockHeld")?.["holder"] });
  return new LockError(kind, text(message), {
    ...(metadata["field"] === undefined ? {} : { field: text(metadata["field"]) }),
    ...(holder === undefined ? {} : { holder: leaseFromMessage(holder) }),
  });
}

function leaseIn({ lease }: Json): { lease?: LeaseMessage } {
  if (lease === undefined) return {};
  const json = object(lease);
  const at = (name: string): Timestamp | undefined =>
    json[name] === undefined ? undefined : timestamp(text(json[name]));
  const lasting = (name: string): Duration | undefined =>
    json[name] === undefined ? undefined : duration(text(json[name]));
  return {
    lease: {
      $typeName: "stormlock.v1.Lease",
      resource: text(json["resource"]),
      leaseId: text(json["leaseId"]),
      principal: text(json["principal"]),
      fencingToken: BigInt(text(json["fencingToken"]) || 0),
      ...defined({ createTime: at("createTime"), expireTime: at("expireTime") }),
      ...defined({ ttl: lasting("ttl"), validFor: lasting("validFor") }),
      reason: text(json["reason"]),
      labels:
        json["labels"] === undefined ? {} : (object(json["labels"]) as Record<string, string>),
    },
  };
}

// 2026-11-24T01:06:04.581013Z
function timestamp(written: string): Timestamp {
  const [, toTheSecond = "", fraction = ""] = /^([^.Z]+)(?:\.([0-9]{1,9}))?Z$/u.exec(written) ?? [];
  const ms = Date.parse(`${toTheSecond}Z`);
  if (Number.isNaN(ms)) throw new TypeError(`${written} is no time`);
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: BigInt(ms / 1000),
    nanos: Number(fraction.padEnd(9, "0")),
  };
}

// 3011.654s
function duration(written: string): Duration {
  const [, sign = "", seconds, fraction = ""] =
    /^(-?)([0-9]+)(?:\.([0-9]{1,9}))?s$/u.exec(written) ?? [];
  if (seconds === undefined) throw new TypeError(`${written} is no duration`);
  return {
    $typeName: "google.protobuf.Duration",
    seconds: BigInt(sign + seconds),
    nanos: Number(sign + fraction.padEnd(9, "0")),
  };
}

function isDuration(value: unknown): value is Duration {
  return (value as Partial<Duration> | null)?.$typeName === "google.protobuf.Duration";
}

function durationText({ seconds, nanos }: Duration): string {
  return `${String(seconds)}.${String(nanos).padStart(9, "0")}s`;
}

// What is left out is empty.
function text(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value === "string") return value;
  throw new TypeError(`${JSON.stringify(value)} is no text`);
}

function object(value: unknown): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw new TypeError(`${JSON.stringify(value)} is no object`);
}

function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as ReturnType<typeof defined<T>>;
}
