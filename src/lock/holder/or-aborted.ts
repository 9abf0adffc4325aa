import { LockError } from "../errors.js";
import type { HoldWish } from "./holding.js";
import { onAbort } from "../on-abort.js";

/**
 * Waits for something on behalf of a wish.
 * @throws LockError "cancelled" as soon as its caller gives up
 */
export async function orAborted(
  done: Promise<unknown>,
  { resource, signal }: HoldWish,
): Promise<void> {
  const stopped = new LockError("cancelled", `the wait for ${resource} was given up`);
  if (signal?.aborted === true) throw stopped;
  await new Promise<void>((resolve, reject) => {
    const stopListening =
      signal &&
      onAbort(signal, () => {
        reject(stopped);
      });
    void done.then(() => {
      stopListening?.();
      resolve();
    });
  });
}
