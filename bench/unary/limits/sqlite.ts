import { loadDriver } from "../../../src/backends/sqlite/driver.js";
import type { OpenLimit } from "./limit.js";

// As many rows as are wanted at once are one transaction: that is its own way to be fast.
export const openSqliteLimit: OpenLimit = async (settings) => {
  const { DatabaseSync } = await loadDriver();
  const database = new DatabaseSync(`${settings["path"] ?? ""}.limit`);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  database.exec("CREATE TABLE IF NOT EXISTS bench (name TEXT PRIMARY KEY, id TEXT) WITHOUT ROWID");
  const make = database.prepare("INSERT INTO bench (name, id) VALUES (?, ?)");
  const end = database.prepare("DELETE FROM bench WHERE name = ? AND id = ?");
  return {
    pairs(names) {
      for (const statement of [make, end]) {
        database.exec("BEGIN IMMEDIATE");
        for (const name of names) statement.run(name, "id");
        database.exec("COMMIT");
      }
      return Promise.resolve();
    },
    [Symbol.asyncDispose]() {
      database.close();
      return Promise.resolve();
    },
  };
};
