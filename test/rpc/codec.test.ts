// Our own encoder and decoder against the library's, over random messages and random damage.

import {
  create,
  fromBinary,
  toBinary,
  ScalarType,
  type DescField,
  type DescMessage,
  type Message,
} from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { file_stormlock_v1_lock, LockService } from "../../src/gen/stormlock/v1/lock_pb.js";
import { decoderOf } from "../../src/rpc/grpc/decoder.js";
import { Backwards, encoderOf } from "../../src/rpc/grpc/encoder.js";
import { serialize } from "../../src/rpc/grpc/definition.js";
import { Dice } from "./support/dice.js";

const MESSAGES = file_stormlock_v1_lock.messages;
const TEXTS = ["a", "deploy/prod", "é", "锁", "🔒", "\u0000", "\ud800", "\ufeffx", "__proto__"];
const TIMES = 300;

describe("the encoder", () => {
  it("knows every answer of the service", () => {
    for (const { output } of LockService.methods) expect(encoderOf(output)).toBeDefined();
  });

  it("gives the bytes that the library gives, of whatever message", () => {
    const dice = new Dice(1);
    for (const schema of MESSAGES) {
      for (let time = 0; time < TIMES; time++) {
        const message = randomMessage(schema, dice);
        expect(encoded(schema, message)).toEqual(Buffer.from(toBinary(schema, message)));
      }
    }
  });

  it("grows with what is written", () => {
    const reason = "é".repeat(20_000);
    const schema = messageNamed("Lease");
    const message = create(schema, { reason, resource: "x" });
    expect(encoded(schema, message)).toEqual(Buffer.from(toBinary(schema, message)));
  });

  it("leaves fields that it does not know to the library", () => {
    const schema = messageNamed("ReleaseResponse");
    const message = fromBinary(schema, Buffer.from("080278017a0161", "hex"));
    expect(encoderOf(schema)?.(message, new Backwards())).toBe(false);
    expect(serialize(schema, message).toString("hex")).toBe("080278017a0161");
    expect(serialize(schema, message, 5).subarray(5).toString("hex")).toBe("080278017a0161");
  });
});

describe("the decoder", () => {
  it("knows every question to the service", () => {
    for (const { input } of LockService.methods) expect(decoderOf(input)).toBeDefined();
  });

  it("gives the message that the library gives, or none", () => {
    const dice = new Dice(2);
    let sure = 0;
    for (const schema of MESSAGES) {
      for (let time = 0; time < TIMES; time++) {
        const bytes = Buffer.from(toBinary(schema, randomMessage(schema, dice)));
        if (dice.roll(2) === 0) damage(bytes, dice);
        const whole = dice.roll(4) === 0 ? bytes.subarray(0, dice.roll(bytes.length + 1)) : bytes;
        const message = decoderOf(schema)?.(whole, 0, whole.length);
        if (message === undefined) continue;
        sure += 1;
        expect(message).toStrictEqual(fromBinary(schema, whole));
      }
    }
    expect(sure).toBeGreaterThan(1000);
  });

  it("is sure of what callers ask every day", () => {
    const schema = LockService.method.acquire.input;
    const asked = create(schema, {
      ...{ resource: "deploy/prod", leaseId: "1".repeat(32), principal: "ann", reason: "é" },
      ...{ ttl: { seconds: 60n, nanos: 500 }, wait: { seconds: 0n }, labels: { a: "1", b: "" } },
    });
    const bytes = Buffer.from(toBinary(schema, asked));
    expect(decoderOf(schema)?.(bytes, 0, bytes.length)).toStrictEqual(fromBinary(schema, bytes));
  });

  it("keeps nothing of one message for the next", () => {
    const schema = LockService.method.acquire.input;
    const first = Buffer.from(toBinary(schema, create(schema, { labels: { a: "1" } })));
    decoderOf(schema)?.(first, 0, first.length);
    expect(decoderOf(schema)?.(Buffer.alloc(0), 0, 0)).toStrictEqual(create(schema));
  });
});

function encoded(schema: DescMessage, message: Message): Buffer {
  const into = new Backwards();
  expect(encoderOf(schema)?.(message, into)).toBe(true);
  return into.taken(0);
}

function messageNamed(name: string): DescMessage {
  const found = MESSAGES.find((schema) => schema.name === name);
  if (found === undefined) throw new Error(`no message ${name}`);
  return found;
}

function damage(bytes: Buffer, dice: Dice): void {
  for (let count = dice.roll(3); count >= 0 && bytes.length > 0; count--) {
    bytes[dice.roll(bytes.length)] = dice.roll(256);
  }
}

function randomMessage(schema: DescMessage, dice: Dice): Message {
  const init: Record<string, unknown> = {};
  for (const field of schema.fields) {
    if (dice.roll(3) === 0) continue;
    const value = randomValue(field, dice);
    if (field.oneof === undefined) init[field.localName] = value;
    else init[field.oneof.localName] = { case: field.localName, value };
  }
  return create(schema, init as never);
}

function randomValue(field: DescField, dice: Dice): unknown {
  switch (field.fieldKind) {
    case "scalar":
      return randomScalar(field.scalar, dice);
    case "enum":
      return dice.roll(5) - 1;
    case "message":
      return randomMessage(field.message, dice);
    case "list": {
      const { message: schema } = field;
      if (schema === undefined) throw new Error(`a list of ${field.listKind} is not expected`);
      return Array.from({ length: dice.roll(4) }, () => randomMessage(schema, dice));
    }
    case "map":
      return Object.fromEntries(
        Array.from({ length: dice.roll(4) }, () => [randomText(dice), randomText(dice)]),
      );
  }
}

function randomScalar(type: ScalarType, dice: Dice): unknown {
  const sign = dice.roll(2) === 0 ? 1 : -1;
  const small = dice.roll(2) === 0 ? dice.roll(200) : dice.roll(2 ** 31);
  const big = BigInt(small) * BigInt(dice.pick([1, 2, 2 ** 20, 2 ** 32]));
  if (type === ScalarType.STRING) return randomText(dice);
  if (type === ScalarType.BOOL) return sign === 1;
  if (type === ScalarType.INT32) return sign * small;
  if (type === ScalarType.UINT32) return small * 2;
  if (type === ScalarType.INT64) return BigInt(sign) * big;
  if (type === ScalarType.UINT64) return big * 2n;
  if (type === ScalarType.DOUBLE) return dice.pick([0, -0, 0.25, -1e300, NaN, Infinity]);
  throw new Error(`the type ${String(type)} is not expected`);
}

function randomText(dice: Dice): string {
  return Array.from({ length: dice.roll(4) }, () => TEXTS[dice.roll(TEXTS.length)]).join("");
}
