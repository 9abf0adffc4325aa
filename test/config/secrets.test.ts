import { describe, expect, test } from "vitest";
import { masked, shown, withoutSecrets } from "../../src/config/secrets.js";

describe("a password is masked in", () => {
  test.each([
    ["redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"],
    ["postgresql://app:hunter2@db/locks", "postgresql://app:***@db/locks"],
    ["postgresql://app:hun/t@er2@db/locks", "postgresql://app:***@db/locks"],
    [
      "postgresql://db/locks?user=a&password=hunter2&x=1",
      "postgresql://db/locks?user=a&password=***&x=1",
    ],
    ["host=db password=hunter2 dbname=locks", "host=db password=*** dbname=locks"],
    ["host=db password = 'hun ter\\'2' dbname=x", "host=db password = *** dbname=x"],
    ["host=db password='hunter2", "host=db password=***"],
    ["sslpassword=hunter2", "sslpassword=***"],
    ["a redis://u:hunter2@b, redis://u:hunter2@c", "a redis://u:***@b, redis://u:***@c"],
  ])("%s", (text, safe) => {
    expect(withoutSecrets(text)).toBe(safe);
  });
});

test.each(["redis://cache:6379", "postgresql://app@db/locks", "dbname=test", "a@b", "10:20"])(
  "%s has nothing to mask",
  (text) => {
    expect(withoutSecrets(text)).toBe(text);
  },
);

test("a secret key's value is masked whatever it is, and however deep", () => {
  expect(masked("password", "x")).toBe("***");
  expect(masked("secret_access_key", 12)).toBe("***");
  expect(masked("auth", { user: "u", Password: "x", tokens: ["a"] })).toEqual({
    user: "u",
    Password: "***",
    tokens: ["***"],
  });
  expect(masked("password", { value: "x" })).toEqual({ value: "***" });
  expect(masked("access_key_id", "AKIA")).toBe("AKIA");
});

test("a value in a message is masked, on one line, and short", () => {
  expect(shown("password", "hunter2")).toBe("a value that is not shown");
  expect(shown("url", "redis://:hunter2@x")).toBe('"redis://:***@x"');
  expect(shown("ttl", 60)).toBe("60");
  expect(shown("ttl", ["a", 1, true])).toBe('["a", 1, true]');
  expect(shown("ttl", { a: 1 })).toBe("a table");
  expect(shown("ttl", "a\nb\u001b[2J\u009b")).toBe(String.raw`"a\nb\u001b[2J\u009b"`);
  expect(shown("ttl", "🔒".repeat(100))).toBe(`"${"🔒".repeat(60)}…"`);
});
