import { describe, expect, test } from "vitest";
import { principalFor } from "../../src/config/settle.js";
import { Policy } from "../../src/lock/policy.js";
import { complaintsOf, fromIni } from "./config.js";

const FILE = "/home/ann/.stormlock.cfg";

// What the older tool's README shows, and what its tests use.
const OLD = `
# Default section is used for default configuration for locks.
[default]
ttl = 1 days
principal = me@example.com
backend = etcd

[special]
ttl: 30 minutes
backend: redis

[deploy/prod]
backend=dynamodb

[backend.etcd]
host = etcd.example.com
port = 2380
ca_cert = tls/ca.pem
password = a#b;c%%d

[backend.redis]
url = redis://%(host)s:6379
host = cache.example.com

[backend.dynamodb]
#table=stormlock
endpoint=http://localhost:8000
access_key_id=test
secret_access_key=test
region=us-east-1

# vim: ft=dosini
`;

describe("a file of the older tool", () => {
  const old = fromIni(OLD);

  test("means what it meant there", async () => {
    const { policy, warnings, dialect } = await old;
    const rules = new Policy(policy.fallback, policy.sections);
    expect(rules.for("x")).toMatchObject({ ttlMs: 86_400_000, backend: "etcd" });
    expect(rules.for("special")).toMatchObject({ ttlMs: 1_800_000, backend: "redis" });
    expect(rules.for("deploy/prod")).toMatchObject({ ttlMs: 86_400_000, backend: "dynamodb" });
    expect(principalFor(await old, "special")).toBe("me@example.com");
    expect(warnings).toEqual([]);
    expect(dialect).toBe("ini");
  });

  test("has backends by their types, with its texts made numbers and its paths whole", async () => {
    const { backends, usesBuiltInStore } = await old;
    expect(
      Array.from(backends.values(), ({ name, type, settings }) => [name, type, settings]),
    ).toEqual([
      [
        "etcd",
        "etcd",
        {
          host: "etcd.example.com",
          port: 2380,
          ca_cert: "/home/ann/tls/ca.pem",
          password: "a#b;c%d",
        },
      ],
      ["redis", "redis", { url: "redis://cache.example.com:6379" }],
      [
        "dynamodb",
        "dynamodb",
        {
          endpoint: "http://localhost:8000",
          access_key_id: "test",
          secret_access_key: "test",
          region: "us-east-1",
        },
      ],
    ]);
    expect(usesBuiltInStore).toBe(false);
    expect(Array.from(backends.values(), ({ problem }) => problem)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

test("a backend needs no section of its own: its name is its type", async () => {
  const { backends } = await fromIni("[default]\nbackend = redis\n");
  expect(backends.get("redis")).toMatchObject({ type: "redis", settings: {} });
});

test("[DEFAULT] gives its keys to every section that has a use for them", async () => {
  const { policy, backends, warnings } = await fromIni(
    "[DEFAULT]\nhost = h\nttl = 5 seconds\n[default]\nbackend = etcd\n[x]\nprincipal = %(host)s\n[backend.etcd]\n",
  );
  expect(policy.fallback).toMatchObject({ ttlMs: 5000, backend: "etcd" });
  expect(policy.sections).toEqual([{ pattern: "x", rule: { ttlMs: 5000, principal: "h" } }]);
  expect(backends.get("etcd")?.settings).toEqual({ host: "h" });
  expect(warnings).toEqual([]);
});

describe("what the older tool let pass", () => {
  test("stays a warning: unknown keys, and sections that name no resource", async () => {
    const { warnings } = await fromIni(
      `[default]\nbackend = redis\ncolour = red\ntll = 5\n[backend.redis]\nulr = x\n[${"a".repeat(201)}]\n[daemon]\nlisten = x\n`,
    );
    expect(warnings).toEqual([
      `${FILE}:3: [default] colour: found an unknown key; expected ttl, min_ttl, max_ttl, principal, backend, server, tls, ca, cert, key (ignored)`,
      `${FILE}:4: [default] tll: found an unknown key; did you mean ttl? (ignored)`,
      `${FILE}:7: [${"a".repeat(201)}]: found "${"a".repeat(60)}…"; expected the name of a resource (resource "${"a".repeat(40)}…" has 201 bytes; at most 200 are allowed) (ignored)`,
      `${FILE}:9: [daemon] listen: found an unknown key; expected ttl, min_ttl, max_ttl, principal, backend (ignored)`,
      `${FILE}:6: [backend.redis] ulr: found an unknown key; did you mean url? (ignored)`,
    ]);
  });

  test("0 seconds and an empty value are as good as none", async () => {
    const { policy } = await fromIni(
      "[default]\nbackend = redis\nttl = 0 seconds\nprincipal =\n[x]\nttl = 0s\nbackend =\n",
    );
    expect(policy.fallback.ttlMs).toBeUndefined();
    expect(policy.fallback.principal).toContain("@");
    expect(policy.sections).toEqual([{ pattern: "x", rule: {} }]);
  });

  test("a ttl of months is its own limit", async () => {
    const { policy } = await fromIni("[default]\nbackend = redis\n[x]\nttl = 90 days\n");
    expect(new Policy(policy.fallback, policy.sections).for("x")).toMatchObject({
      ttlMs: 7_776_000_000,
      maxTtlMs: 7_776_000_000,
    });
  });

  test("a dollar sign is one", async () => {
    const { policy } = await fromIni("[default]\nbackend = redis\nprincipal = ${HOME}\n");
    expect(policy.fallback.principal).toBe("${HOME}");
  });
});

describe("a backend that cannot be used is a problem for its own resources alone", () => {
  test("such as one of a type that we lack", async () => {
    const { backends } = await fromIni(
      "[default]\nbackend = redis\n[x]\nbackend = mysql\n[y]\nbackend = oracle\n[backend.mysql]\nhost = m\npassword = 50%\n",
    );
    expect(backends.get("redis")?.problem).toBeUndefined();
    expect(backends.get("mysql")?.problem).toBe(
      [
        `${FILE}:9: [backend.mysql] password: found a % that stands alone; expected %% for a percent sign, or %(key)s`,
        `${FILE}:7: [backend.mysql]: found a type of backend that is not there: "mysql"; expected sqlite, etcd, redis, postgresql, dynamodb`,
      ].join("\n"),
    );
    expect(backends.get("oracle")?.problem).toBe(
      `${FILE}: [backend.oracle]: found a type of backend that is not there: "oracle"; expected sqlite, etcd, redis, postgresql, dynamodb`,
    );
  });

  test("such as one with a value that cannot be", async () => {
    const { backends } = await fromIni(
      "[default]\nbackend = redis\n[backend.etcd]\nport = many\n[backend.postgresql]\ntable = x\n",
    );
    expect(backends.get("etcd")?.problem).toBe(
      `${FILE}:4: [backend.etcd] port: found "many"; expected a number`,
    );
    expect(backends.get("postgresql")?.problem).toBe(
      `${FILE}:5: [backend.postgresql] connection: found nothing; expected a text in quotes`,
    );
  });

  test("and a resource without any is not locked in an empty local store", async () => {
    const config = await fromIni("[default]\nttl = 1 days\n[x]\nbackend = redis\n");
    expect(config.usesBuiltInStore).toBe(false);
    expect(new Policy(config.policy.fallback).for("y").backend).toBe("default");
    expect(config.backends.get("default")?.problem).toBe(
      `${FILE} names no backend for this resource; write backend = NAME in [default]`,
    );
  });
});

test("a mistake in the form is named with its line, all of them at once", async () => {
  expect(
    await complaintsOf(
      fromIni(
        "ttl = 1\n[default]\nbackend = redis\nBackend = etcd\nttl = 1 week\nprincipal = %(who)s\n[default]\nhello\n",
      ),
    ),
  ).toEqual([
    `${FILE}:1: the file: found text before any section; expected a section first, such as [default]`,
    `${FILE}:4: [default]: found backend a second time; expected one backend, as on line 3`,
    `${FILE}:5: [default] ttl: found "1 week"; expected a whole number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d`,
    `${FILE}:6: [default] principal: found %(who)s; expected a key who in the same section or in [DEFAULT]`,
    `${FILE}:7: [default]: found section [default] a second time; expected one section of that name, as on line 2`,
    `${FILE}:8: [default]: found neither a section nor a key with a value; expected [section], key = value or key: value`,
  ]);
});
