// Bytes to messages, by functions that are made once from each message's descriptor, for the same
// reason as in encoder.ts.
//
//   R1. What comes out is what fromBinary would give.
//   R2. Whoever is not sure gives nothing, and fromBinary decides: fields that are not known or come
//       twice, lengths that do not fit, text that is no plain UTF-8, numbers of more than 42 bits.

import {
  create,
  ScalarType,
  type DescField,
  type DescMessage,
  type Message,
} from "@bufbuild/protobuf";

/** Reads the message that these bytes are from one place to another; undefined when unsure (R2). */
export type Decoder = (bytes: Buffer, at: number, end: number) => Message | undefined;

const LENGTH_DELIMITED = 2;
const VARINT = 0;

const decoders = new Map<DescMessage, Decoder | undefined>();

/** What reads messages of this kind; undefined where they have what is not foreseen here. */
export function decoderOf(schema: DescMessage): Decoder | undefined {
  if (decoders.has(schema)) return decoders.get(schema);
  const decoder = compiled(schema);
  decoders.set(schema, decoder);
  return decoder;
}

/** A place in bytes that moves on as they are read; before the bytes' beginning when unsure. */
class Cursor {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;

  /** A number of at most 42 bits, or -1. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 6 && this.at < this.end; count++) {
      const byte = this.bytes[this.at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    return -1;
  }

  /** The end of what has its length here, or -1. */
  length(): number {
    const size = this.varint();
    return size < 0 || size > this.end - this.at ? -1 : this.at + size;
  }

  text(): string | undefined {
    const to = this.length();
    if (to < 0) return undefined;
    const text = this.bytes.toString("utf8", this.at, to);
    this.at = to;
    // What is no UTF-8 becomes the first of these; a decoder drops the second at the beginning.
    return text.includes("\ufffd") || text.startsWith("\ufeff") ? undefined : text;
  }
}

// Reads one field into the message; false when unsure.
type FieldReader = (from: Cursor, message: Record<string, unknown>) => boolean;

function compiled(schema: DescMessage): Decoder | undefined {
  const readers: (FieldReader | undefined)[] = [];
  for (const field of schema.fields) {
    const reader = fieldReader(field);
    if (reader === undefined) return undefined;
    readers[field.number * 8 + reader.wireType] = reader.read;
  }
  const zero = create(schema);
  const own = schema.members.filter(
    (member) => member.kind === "oneof" || member.fieldKind === "map",
  );
  return (bytes, at, end) => {
    const message: Record<string, unknown> & Message = { ...zero };
    // What can be changed is each message's own.
    for (const { kind, localName } of own) {
      message[localName] = kind === "oneof" ? { case: undefined } : {};
    }
    const from = new Cursor();
    from.bytes = bytes;
    from.at = at;
    from.end = end;
    while (from.at < end) {
      if (readers[from.varint()]?.(from, message) !== true) return undefined;
    }
    return message;
  };
}

interface Reader {
  readonly wireType: number;
  readonly read: FieldReader;
}

function fieldReader(field: DescField): Reader | undefined {
  const { localName: name, oneof } = field;
  switch (field.fieldKind) {
    case "scalar":
      return oneof === undefined ? scalarReader(name, field) : undefined;
    case "message": {
      if (field.delimitedEncoding) return undefined;
      const { message: schema } = field;
      const read: FieldReader = (from, message) => {
        const to = from.length();
        const value = to < 0 ? undefined : decoderOf(schema)?.(from.bytes, from.at, to);
        if (value === undefined) return false;
        from.at = to;
        if (oneof === undefined) {
          if (message[name] !== undefined) return false;
          message[name] = value;
          return true;
        }
        const chosen = message[oneof.localName] as { case?: string; value?: unknown };
        if (chosen.case !== undefined) return false;
        chosen.case = name;
        chosen.value = value;
        return true;
      };
      return { wireType: LENGTH_DELIMITED, read };
    }
    case "map": {
      if (field.mapKey !== ScalarType.STRING || field.mapKind !== "scalar") return undefined;
      if (field.scalar !== ScalarType.STRING) return undefined;
      return { wireType: LENGTH_DELIMITED, read: textMapReader(name) };
    }
    case "enum":
    case "list":
      return undefined;
  }
}

function textMapReader(name: string): FieldReader {
  return (from, message) => {
    const to = from.length();
    if (to < 0) return false;
    if (from.varint() !== 1 * 8 + LENGTH_DELIMITED) return false;
    const key = from.text();
    if (from.varint() !== 2 * 8 + LENGTH_DELIMITED) return false;
    const text = from.text();
    // As an own property "__proto__" needs more than an assignment.
    if (key === undefined || text === undefined || from.at !== to || key === "__proto__") {
      return false;
    }
    (message[name] as Record<string, string>)[key] = text;
    return true;
  };
}

function scalarReader(
  name: string,
  field: DescField & { fieldKind: "scalar" },
): Reader | undefined {
  if (field.scalar === ScalarType.STRING) {
    const read: FieldReader = (from, message) => {
      const text = from.text();
      message[name] = text;
      return text !== undefined;
    };
    return { wireType: LENGTH_DELIMITED, read };
  }
  const isLong = field.scalar === ScalarType.INT64 || field.scalar === ScalarType.UINT64;
  if (isLong && !field.longAsString) {
    const read: FieldReader = (from, message) => {
      const value = from.varint();
      message[name] = BigInt(value);
      return value >= 0;
    };
    return { wireType: VARINT, read };
  }
  if (field.scalar === ScalarType.INT32) {
    const read: FieldReader = (from, message) => {
      const value = from.varint();
      message[name] = value;
      return value >= 0 && value <= MOST_INT32;
    };
    return { wireType: VARINT, read };
  }
  return undefined;
}

const MOST_INT32 = 0x7fff_ffff;
