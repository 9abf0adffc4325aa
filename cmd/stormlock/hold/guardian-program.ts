import { fileURLToPath } from "node:url";

/**
 * What makes the executable that runs this a guardian, as its first argument: a file that lies beside
 * the bundle. The single file has a word in its place: guardian-program.embedded.ts
 */
export const GUARDIAN = fileURLToPath(new URL("./guardian.cjs", import.meta.url));
