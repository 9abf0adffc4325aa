import pg from "pg";
import type { OpenLimit } from "./limit.js";

// One statement for all: the fastest that one connection can do. Rows of the daemon's own table,
// since its role may write nowhere else.
const MAKE = `INSERT INTO stormlock_leases SELECT
  name::bytea, 'id', 'bench', 0, 0, 0, 0, 0, 0, '', '{}' FROM unnest($1::text[]) AS name`;
const END = "DELETE FROM stormlock_leases WHERE resource = ANY ($1::text[]::bytea[])";

export const openPostgresqlLimit: OpenLimit = async (settings) => {
  const client = new pg.Client({ connectionString: settings["connection"] ?? "" });
  await client.connect();
  return {
    async pairs(names) {
      const own = names.map((name) => `alone/${name}`);
      await client.query({ name: "make", text: MAKE, values: [own] });
      await client.query({ name: "end", text: END, values: [own] });
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
};
