// What Stormlock asks for when a configuration says `type = "stormlock-journal"`: an export called
// `backend`. Everything here may be copied.

import { mkdir } from "node:fs/promises";
import { dirname, isAbsolute } from "node:path";
import { LockError } from "stormlock";
import { openJournal } from "./journal.js";
import { JournalBackend } from "./journal-backend.js";

/** @type {import("stormlock").BackendType} */
export const backend = {
  // What a configuration may say, so that `stormlock config check` finds mistakes with their lines.
  // A relative `path` has been made absolute, seen from the configuration file.
  settings: ({ z }) =>
    z.strictObject({
      path: z.string().refine(isAbsolute, { error: "must be a file, e.g. /var/lib/locks.journal" }),
    }),

  // Says what is wrong at once, in one line with what to do.
  async open(_name, { path }, { clock }) {
    try {
      return new JournalBackend(path, await openJournal(path), clock);
    } catch (error) {
      throw new LockError("unavailable", `the journal ${path} cannot be opened: ${error.message}`, {
        cause: error,
      });
    }
  },

  // Only for stores that need something made first. `run` may be called any number of times.
  setup: (_name, { path }) => ({
    text: `mkdir -p '${dirname(path).replaceAll("'", "'\\''")}'`,
    async run() {
      const made = await mkdir(dirname(path), { recursive: true });
      return `${made === undefined ? "there is" : "made"} the folder ${dirname(path)}`;
    },
  }),
};
