import { expect, test } from "vitest";
import { substitute } from "../../src/config/substitute.js";

const env = { HOST: "db", PORT: "5432", EMPTY: "", NESTED: "${HOST}" };

test("a variable is put into a text, as often as it stands there", () => {
  expect(substitute("${HOST}:${PORT}/${HOST}", env).value).toBe("db:5432/db");
  expect(substitute("[${EMPTY}]", env).value).toBe("[]");
});

test("what a variable holds is not looked at again", () => {
  expect(substitute("${NESTED}", env).value).toBe("${HOST}");
});

test("two dollars are one, and other signs stay as they are", () => {
  expect(substitute("$${HOST}", env)).toEqual({
    value: "${HOST}",
    missing: [],
    isSubstituted: false,
  });
  expect(substitute("$HOST ${} ${a b} $ {HOST}", env).value).toBe("$HOST ${} ${a b} $ {HOST}");
});

test("texts in lists and tables are reached; other values stay as they are", () => {
  const date = new Date(0);
  const value = { list: ["${HOST}", 1], table: { x: "${PORT}" }, flag: true, date };
  expect(substitute(value, env)).toEqual({
    value: { list: ["db", 1], table: { x: "5432" }, flag: true, date },
    missing: [],
    isSubstituted: true,
  });
});

test("variables that are not set are named, each once", () => {
  expect(substitute(["${A}${B}", "${A}"], env).missing).toEqual(["A", "B"]);
});
