// All keys of a store have the same part in braces: a cluster keeps them on one node, where a
// script reaches them together.

export interface Keys {
  /** The greatest token, and the format. */
  readonly state: string;
  /** The names that are or were held, in the order of their bytes. */
  readonly names: string;
  /** The same names by when their rows may be pruned, at the earliest. */
  readonly ends: string;
  /** Where releases are told. */
  readonly freed: string;
  /** Where a resource's row is. */
  row(resource: string): string;
}

/** @param prefix without braces */
export function keysOf(prefix: string): Keys {
  const tag = `{${prefix}}`;
  return {
    state: `${tag}:state`,
    names: `${tag}:names`,
    ends: `${tag}:ends`,
    freed: `${tag}:freed`,
    row: (resource) => `${tag}:lease:${resource}`,
  };
}

/** From which to which name a page goes, as ZRANGEBYLEX wants it. */
export function rangeOf(prefix: string, after: string | undefined): readonly [Buffer, Buffer] {
  const first = Buffer.from(prefix);
  const isAfterLater = after !== undefined && Buffer.compare(Buffer.from(after), first) >= 0;
  const least = isAfterLater ? Buffer.from(`(${after}`) : Buffer.from(`[${prefix}`);
  if (prefix === "") return [isAfterLater ? least : Buffer.from("-"), Buffer.from("+")];
  // UTF-8 has no byte 0xff, so the last one can always be raised.
  const greatest = Buffer.from(`(${prefix}`);
  greatest[greatest.length - 1] = (greatest.at(-1) ?? 0) + 1;
  return [least, greatest];
}
