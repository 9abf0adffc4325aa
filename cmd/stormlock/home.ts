import { homedir } from "node:os";
import type { Scene } from "./command.js";

// A container may run as a user whom nobody has told it of, and without HOME. Its runtime would
// say the same.
const NOBODYS_HOME = "/";

/** The folder below which a user's own configuration and store are. */
export function homeOf(env: Scene["env"]): string {
  const { HOME } = env;
  if (HOME !== undefined) return HOME;
  try {
    return homedir();
  } catch {
    return NOBODYS_HOME;
  }
}
