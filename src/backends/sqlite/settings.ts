import { isAbsolute } from "node:path";
import type { ZodObject } from "zod";

/** What a configuration may say of an embedded store. Asynchronous, since zod is slow to load. */
export async function sqliteSettings(): Promise<ZodObject> {
  const { z } = await import("zod");
  return z.strictObject({
    // A relative path would be another store in every working directory, and no lock at all.
    path: z
      .string()
      .refine(isAbsolute, { error: "must be an absolute path, e.g. /var/lib/stormlock/locks.db" }),
  });
}
