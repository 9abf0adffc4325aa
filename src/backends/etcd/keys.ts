// Where things lie in etcd. Keys are bytes and are ordered by them, just as names are: a name
// goes in as it is, after a prefix that no name can leave.

/** A range of keys: from the first, up to but without the second. */
export interface KeyRange {
  readonly key: Buffer;
  readonly range_end: Buffer;
}

export class Keys {
  /** Somebody's write here proves that writing works. */
  readonly check: Buffer;
  /** How far the pruning has come. */
  readonly swept: Buffer;
  readonly #held: string;
  readonly #last: string;

  constructor(prefix: string) {
    this.check = Buffer.from(`${prefix}check`);
    this.swept = Buffer.from(`${prefix}swept`);
    this.#held = `${prefix}held/`;
    this.#last = `${prefix}last/`;
  }

  /** There while the resource is held, attached to an etcd lease. */
  held(resource: string): Buffer {
    return Buffer.from(this.#held + resource);
  }

  /** Remembers the resource's last lease id, held or not. */
  last(resource: string): Buffer {
    return Buffer.from(this.#last + resource);
  }

  heldResource(key: Buffer): string {
    return key.subarray(Buffer.byteLength(this.#held)).toString();
  }

  lastResource(key: Buffer): string {
    return key.subarray(Buffer.byteLength(this.#last)).toString();
  }

  /** What is held of the resources that begin so and come after this one. */
  heldRange(prefix: string, after?: string): KeyRange {
    return range(this.#held, prefix, after);
  }

  /** What is remembered of the resources that come after this one. */
  lastRange(after?: string): KeyRange {
    return range(this.#last, "", after);
  }
}

function range(folder: string, prefix: string, after: string | undefined): KeyRange {
  const start = Buffer.from(folder + prefix);
  const end = Buffer.from(start);
  // Never 0xff: the last byte of UTF-8.
  end.writeUInt8((end.at(-1) ?? 0) + 1, end.length - 1);
  const next = after === undefined ? start : Buffer.from(`${folder}${after}\0`);
  return { key: Buffer.compare(start, next) > 0 ? start : next, range_end: end };
}
