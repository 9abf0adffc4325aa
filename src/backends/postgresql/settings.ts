import type { ZodObject } from "zod";
import { parseDuration } from "../../lock/duration.js";
import { connectionParts, isTableName } from "./names.js";

/** What a configuration says of a PostgreSQL store. */
export interface PostgresqlSettings {
  /** A URL, or the keywords that libpq knows: `host=db user=locks dbname=locks`. */
  readonly connection: string;
  /** Where the leases are, `table` or `schema.table`; `stormlock_leases` when left out. */
  readonly table?: string;
  /** How long any call may take, e.g. `5s`, which it is when left out. */
  readonly timeout?: string;
  /** Whether a missing table is made; it is when left out. */
  readonly create_table?: boolean;
}

export const DEFAULT_TABLE = "stormlock_leases";
export const DEFAULT_TIMEOUT = "5s";

const LEAST_TIMEOUT_MS = 500;
const MOST_TIMEOUT_MS = 60_000;

function isTimeout(text: string): boolean {
  const ms = parseDuration(text);
  return ms !== undefined && ms >= LEAST_TIMEOUT_MS && ms <= MOST_TIMEOUT_MS;
}

/** What a configuration may say of a PostgreSQL store. Asynchronous, since zod is slow to load. */
export async function postgresqlSettings(): Promise<ZodObject> {
  const { z } = await import("zod");
  return z.strictObject({
    connection: z.string().superRefine((text, context) => {
      const parts = connectionParts(text);
      if ("problem" in parts) context.addIssue({ code: "custom", message: parts.problem });
    }),
    table: z
      .string()
      .refine(isTableName, {
        error:
          "must be a table's name, or schema.table, of letters, digits and underscores, e.g. locks.stormlock_leases",
      })
      .optional(),
    timeout: z
      .string()
      .refine(isTimeout, { error: "must be a duration between 500ms and 1m, e.g. 5s" })
      .optional(),
    create_table: z.boolean().optional(),
  });
}
