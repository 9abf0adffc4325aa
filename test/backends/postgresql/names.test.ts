// Connection strings and settings; no server.

import { describe, expect, it } from "vitest";
import { connectionParts, isTableName } from "../../../src/backends/postgresql/names.js";
import { postgresqlSettings } from "../../../src/backends/postgresql/settings.js";
import { masked } from "../../../src/config/secrets.js";

const parts = (text: string): Partial<Record<string, string>> => connectionParts(text);

describe("a connection string", () => {
  it.each([
    [
      "postgresql://ann:s%40crt@db.example:6543/locks?sslmode=require&application_name=a%20b",
      {
        user: "ann",
        password: "s@crt",
        host: "db.example",
        port: "6543",
        dbname: "locks",
        sslmode: "require",
        application_name: "a b",
      },
    ],
    [
      "postgres://db.example/locks?user=ann",
      { user: "ann", host: "db.example", port: "5432", dbname: "locks" },
    ],
    ["postgresql://ann@[::1]:6000/locks", { user: "ann", host: "::1", port: "6000" }],
    [
      "postgresql://ann@/locks?host=/run/postgresql",
      { user: "ann", host: "/run/postgresql", dbname: "locks" },
    ],
    ["postgresql://ann@%2Frun%2Fpostgresql/locks", { host: "/run/postgresql", dbname: "locks" }],
    ["postgresql:///?dbname=a+b&user=ann", { dbname: "a+b" }],
    ["host=db user=ann password='it''s'", undefined],
    [
      String.raw`host=db user = ann password='it\'s a \\' dbname=x\ y connect_timeout=3`,
      { host: "db", user: "ann", password: String.raw`it's a \ `.trim(), dbname: "x y" },
    ],
    ["host=db password='' user=ann", { host: "db", dbname: "ann" }],
  ])("%s is read", (text, expected) => {
    if (expected === undefined) expect(parts(text)).toHaveProperty("problem");
    else expect(parts(text)).toMatchObject(expected);
  });

  it.each([
    "",
    "db.example",
    "mysql://db/x",
    "postgresql://h1:5432,h2:5432/x",
    "host=a,b",
    "host=a port=x",
    "host=a sslmode=maybe",
    "host=a sslmode=verify-ca",
    "host=a sslmod=require",
    "postgresql://a/%zz",
    "postgresql://a@b:c@d@e/x",
    "host",
    "host=a 'b'",
  ])("%j is refused, and nothing of it is repeated", (text) => {
    const { problem } = parts(text);
    expect(problem).toMatch(/^must /u);
    if (text.includes("=")) expect(problem).not.toContain(text);
  });

  it("is shown without its password", () => {
    for (const text of [
      "postgresql://ann:s3cret@db/x",
      "host=db password=s3cret",
      "postgresql://db/x?password=s3cret",
      "host=db password='s3cret'",
    ]) {
      expect(String(masked("connection", text))).not.toContain("s3cret");
    }
  });
});

it("a table's name is one or two plain words", () => {
  for (const name of ["a", "A_b9", "s.t", "x".repeat(63)]) expect(isTableName(name)).toBe(true);
  for (const name of [
    "",
    ".",
    "a.",
    "a.b.c",
    "a b",
    'a"',
    "1a",
    "é",
    "a-b",
    "x".repeat(64),
    "a;b",
  ]) {
    expect(isTableName(name)).toBe(false);
  }
});

it("settings are checked before anything is opened", async () => {
  const schema = await postgresqlSettings();
  const connection = "postgresql://db/x";
  for (const good of [
    { connection },
    { connection, table: "a.b", timeout: "2s", create_table: false },
  ]) {
    expect(schema.safeParse(good).success).toBe(true);
  }
  const bad = [
    {},
    { connection: "db" },
    { connection, table: "a b" },
    { connection, timeout: "5" },
    { connection, timeout: "100ms" },
    { connection, create_table: "no" },
    { connection, pool: 3 },
  ];
  for (const settings of bad) expect(schema.safeParse(settings).success).toBe(false);
});
