/** No key is before this one. */
export const FIRST_KEY: Uint8Array = Uint8Array.of(0);

/** The least key that is after this one. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
