import { expect, it } from "vitest";
import { loadDriver } from "../../../src/backends/sqlite/driver.js";

// From these on it does all that is needed here; deploy/npm/nodes.test.ts runs this on either side.
const WHOLE_SINCE = new Map([
  [22, 20],
  [24, 7],
]);

function isOursToUse([major, minor]: readonly number[]): boolean {
  if (major === undefined || minor === undefined) return false;
  return major > 24 || minor >= (WHOLE_SINCE.get(major) ?? Infinity);
}

it("SQLite is Node's own where that does all that is needed, and a package's elsewhere", async () => {
  const driver = await loadDriver(); // First: it keeps the module's warning down.
  const own = process.getBuiltinModule("node:" + "sqlite") as
    { readonly DatabaseSync: unknown } | undefined;
  const isOwn = driver.DatabaseSync === own?.DatabaseSync;
  expect(isOwn).toBe(isOursToUse(process.versions.node.split(".").map(Number)));
});

it("whichever it is, it knows its state and takes one value for all places of its number", async () => {
  const { DatabaseSync } = await loadDriver();
  const database = new DatabaseSync(":memory:");
  expect([database.isOpen, database.isTransaction]).toEqual([true, false]);
  database.exec("BEGIN");
  expect(database.isTransaction).toBe(true);
  expect(database.prepare("SELECT ?2 AS b, ?1 AS a, ?2 AS c").get(1, 2)).toEqual({
    ...{ a: 1, b: 2, c: 2 },
  });
  database.close();
  expect(database.isOpen).toBe(false);
});
