// Protobuf messages, written from their ends to their beginnings: what stands inside a message is
// written before its length, which is then known, and nothing is measured or moved. So fields are
// given last to first. Defaults are left out, as proto3 wants.

const FIRST_BYTES = 16 * 1024;
// What an unusually long text has taken is given back.
const MOST_KEPT_BYTES = 256 * 1024;
// Longer ones are written faster by Buffer.
const SHORT_CHARS = 64;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;

const FRAME_HEAD_BYTES = 5;

/** Fields have numbers below 16, and whole numbers are from 0 to 2^53. */
export class BackwardWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #at = FIRST_BYTES;

  /** How much has been written: marks the end of a message that is to be written next. */
  get written(): number {
    return this.#bytes.length - this.#at;
  }

  /** A uint64, an int64, a uint32, an int32 or an enum. */
  uint(field: number, value: number): void {
    if (value === 0) return;
    this.#varint(value);
    this.#tag(field, VARINT);
  }

  double(field: number, value: number): void {
    if (value === 0) return;
    this.#at = this.#room(8);
    this.#bytes.writeDoubleLE(value, this.#at);
    this.#tag(field, FIXED64);
  }

  string(field: number, text: string): void {
    if (text === "") return;
    const { written } = this;
    if (!this.#ascii(text)) {
      const length = Buffer.byteLength(text);
      this.#at = this.#room(length);
      this.#bytes.write(text, this.#at, length);
    }
    this.message(field, written);
  }

  raw(bytes: Uint8Array): void {
    this.#at = this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
  }

  /** What has been written since the mark is a message, in this field. */
  message(field: number, mark: number): void {
    this.#varint(this.written - mark);
    this.#tag(field, LENGTH);
  }

  /** What has been written since the mark is a message of gRPC's. */
  frame(mark: number): void {
    const length = this.written - mark;
    this.#at = this.#room(FRAME_HEAD_BYTES);
    this.#bytes[this.#at] = 0;
    this.#bytes.writeUInt32BE(length, this.#at + 1);
  }

  /** Everything that was written; then it is empty again. */
  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(this.#at));
    this.clear();
    return taken;
  }

  /** Forgets everything that was written. */
  clear(): void {
    if (this.#bytes.length > MOST_KEPT_BYTES) this.#bytes = Buffer.allocUnsafe(FIRST_BYTES);
    this.#at = this.#bytes.length;
  }

  #tag(field: number, type: number): void {
    this.#at = this.#room(1);
    this.#bytes[this.#at] = (field << 3) | type;
  }

  #varint(value: number): void {
    if (value < 0x80) {
      this.#at = this.#room(1);
      this.#bytes[this.#at] = value;
      return;
    }
    let size = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
    this.#at = this.#room(size);
    let rest = value;
    for (let at = this.#at; at < this.#at + size - 1; at++) {
      this.#bytes[at] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at + size - 1] = rest;
  }

  // Names and ids are short and ASCII, nearly always.
  #ascii(text: string): boolean {
    if (text.length > SHORT_CHARS) return false;
    const at = this.#room(text.length);
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code >= 0x80) return false;
      this.#bytes[at + index] = code;
    }
    this.#at = at;
    return true;
  }

  // Where so many bytes can be written.
  #room(length: number): number {
    if (this.#at < length) {
      const { written } = this;
      const larger = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, 2 * (written + length)));
      this.#bytes.copy(larger, larger.length - written, this.#at);
      this.#bytes = larger;
      this.#at = larger.length - written;
    }
    return this.#at - length;
  }
}
