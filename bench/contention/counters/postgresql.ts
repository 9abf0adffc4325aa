// PostgreSQL counts transactions by itself: each of a daemon's statements is one. It tells of them
// a second late.

import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import type { OpenCounter } from "./counter.js";

const TOLD_AFTER_MS = 1200;

export const openPostgresqlCounter: OpenCounter = async (settings) => {
  const client = new pg.Client({ connectionString: settings["connection"] });
  await client.connect();
  return {
    async operations() {
      await pause(TOLD_AFTER_MS);
      const { rows } = await client.query<{ count: string }>(
        "SELECT xact_commit + xact_rollback AS count FROM pg_stat_database WHERE datname = current_database()",
      );
      return Number(rows[0]?.count);
    },
    async [Symbol.asyncDispose]() {
      await client.end();
    },
  };
};
