import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { createConnection } from "node:net";
import { LockError } from "../lock/errors.js";

// Owner and group may connect: who can open the file may use the locks.
const SOCKET_MODE = 0o660;

/** Lets owner and group of a socket's file connect, and nobody else. */
export function protectSocket(path: string): void {
  chmodSync(path, SOCKET_MODE);
}

/**
 * Removes the socket's file that a dead daemon has left behind.
 * @throws LockError when somebody listens there, or when it is no socket at all
 */
export async function clearStaleSocket(path: string): Promise<void> {
  if (!isSocket(path)) {
    throw new LockError(
      "invalid-field",
      `listen unix:${path}: there is a file of another kind; give another path, or remove it yourself`,
      { field: "listen" },
    );
  }
  if (await isAnswered(path)) {
    throw new LockError(
      "unavailable",
      `unix:${path} is in use: another daemon listens there; stop it, or listen elsewhere`,
    );
  }
  unlinkSync(path);
}

function isSocket(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? true;
}

// Only a refusal proves that nobody is there: any other failure leaves the file alone.
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection({ path });
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code !== "ECONNREFUSED" && error.code !== "ENOENT");
    });
  });
}
