import { closeSync, openSync, readSync } from "node:fs";
import { LEASE_ID_BYTES, newLeaseId as cryptoLeaseId } from "../../src/lock/lease.js";

/**
 * A new lease id, as the library makes them, from the kernel's random numbers at first hand: for
 * one id Node would load its cryptography, 3 ms of a command's 50.
 */
export function newLeaseId(): string {
  return leaseIdFrom("/dev/urandom") ?? cryptoLeaseId();
}

/** Undefined where a system, or a container's root, has no such device. */
export function leaseIdFrom(path: string): string | undefined {
  let device: number | undefined;
  try {
    device = openSync(path, "r");
    const bytes = Buffer.alloc(LEASE_ID_BYTES);
    return readSync(device, bytes) === LEASE_ID_BYTES ? bytes.toString("hex") : undefined;
  } catch {
    return undefined;
  } finally {
    if (device !== undefined) closeSync(device);
  }
}
