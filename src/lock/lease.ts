/** One holding of one resource. */
export interface Lease {
  /** What is held. */
  readonly resource: string;
  /** The capability to renew and release it. Never goes into a log. */
  readonly leaseId: string;
  /** Who holds it. */
  readonly principal: string;
  /** The fencing token: greater than that of every earlier lease of this resource. */
  readonly token: bigint;
  /** How long it lives from its grant or its last renewal. */
  readonly ttlMs: number;
  /** How much of that was left when the store answered, by the store's clock. */
  readonly remainingMs: number;
  /** When it was granted, in µs since 1970 by the store's wall clock. For people. */
  readonly createdAtUs: bigint;
  /** When it ends unless renewed, in µs since 1970 by the store's wall clock. For people. */
  readonly expiresAtUs: bigint;
  /** Grows with every write to the lease: equal revisions mean that nobody has touched it. */
  readonly revision: bigint;
  /** Why it is held, in the holder's words; empty when not said. */
  readonly reason: string;
  /** Anything else that the holder wanted to be seen. */
  readonly labels: Readonly<Record<string, string>>;
}

/** A lease as those may see it who are not to renew or release it. */
export function withoutId(lease: Lease): Lease {
  return { ...lease, leaseId: "" };
}

/** How many random bytes a lease id is made of. */
export const LEASE_ID_BYTES = 16;

/** A new lease id: 128 random bits as 32 hexadecimal digits. */
export function newLeaseId(): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(LEASE_ID_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
