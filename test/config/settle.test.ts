import { hostname, userInfo } from "node:os";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/errors.js";
import { originText } from "../../src/config/origin.js";
import { daemonRules, principalFor } from "../../src/config/settle.js";
import { Policy } from "../../src/lock/policy.js";
import { complaintsOf, fromToml, settled } from "./config.js";

const FILE = `
[default]
ttl = "10s"
principal = "file"
backend = "etcd"
server = "file:1"
ca = "ca.pem"
[x]
ttl = "20s"
principal = "section"
backend = "redis"
[backend.etcd]
[backend.redis]
[daemon]
listen = "127.0.0.1:1"
`;

const ENV = {
  STORMLOCK_TTL: "30s",
  STORMLOCK_PRINCIPAL: "variable",
  STORMLOCK_BACKEND: "redis",
  STORMLOCK_SERVER: "variable:1,[::1]",
  STORMLOCK_TLS: "true",
  STORMLOCK_CA: "v/ca.pem",
  STORMLOCK_CERT: "/v/cert.pem",
  STORMLOCK_KEY: "/v/key.pem",
  STORMLOCK_LISTEN: "127.0.0.1:2,unix:s",
};

describe("without a file", () => {
  test("the local store, a minute and user@host are what there is", async () => {
    const config = await settled();
    expect(config.usesBuiltInStore).toBe(true);
    expect(config.path).toBeUndefined();
    const { policy, backends, client, daemon } = config;
    expect(new Policy(policy.fallback, policy.sections).for("x")).toMatchObject({
      ttlMs: 60_000,
      backend: "default",
      principal: `${userInfo().username}@${hostname()}`,
    });
    expect(backends.get("default")).toMatchObject({
      type: "sqlite",
      settings: { path: "/home/ann/.local/state/stormlock/locks.db" },
    });
    expect(client).toEqual({ servers: [] });
    expect(daemon).toEqual({
      listen: ["127.0.0.1:7420"],
      http: [],
      tls: undefined,
      insecure: false,
      logLevel: "info",
    });
  });

  test("$XDG_STATE_HOME says where the store is, when it is absolute", async () => {
    const path = async (value: string): Promise<unknown> =>
      (await settled(undefined, { env: { XDG_STATE_HOME: value } })).backends.get("default")
        ?.settings;
    expect(await path("/state")).toEqual({ path: "/state/stormlock/locks.db" });
    expect(await path("state")).toEqual({ path: "/home/ann/.local/state/stormlock/locks.db" });
  });
});

describe("a variable", () => {
  test("comes before the file, and before what the file says of one resource", async () => {
    const config = await fromToml(FILE, { env: ENV, purpose: "daemon" });
    const policy = new Policy(config.policy.fallback, config.policy.sections);
    expect(policy.for("y")).toMatchObject({ ttlMs: 30_000, backend: "redis" });
    expect(policy.for("x").backend).toBe("redis");
    expect(principalFor(config, "x")).toBe("variable");
    expect(config.client).toEqual({
      servers: ["variable:1", "[::1]:7420"],
      ttlMs: 30_000,
      tls: true,
      ca: "/work/v/ca.pem",
      cert: "/v/cert.pem",
      key: "/v/key.pem",
    });
    expect(config.daemon.listen).toEqual(["127.0.0.1:2", "unix:/work/s"]);
    expect(originText(config.origins.get("[default] backend"))).toBe("STORMLOCK_BACKEND");
  });

  test("that is empty is none", async () => {
    const empty = Object.fromEntries(Object.keys(ENV).map((name) => [name, ""]));
    expect(await fromToml(FILE, { env: empty })).toEqual(await fromToml(FILE));
  });

  test("with a value that cannot be is named", async () => {
    const env = {
      STORMLOCK_TTL: "60",
      STORMLOCK_PRINCIPAL: "a\nb",
      STORMLOCK_BACKEND: "rdis",
      STORMLOCK_SERVER: "h:0",
      STORMLOCK_CERT: "c.pem",
      STORMLOCK_LISTEN: ":7420",
    };
    expect(await complaintsOf(fromToml(FILE, { env, purpose: "daemon" }))).toEqual([
      'STORMLOCK_TTL: found "60"; expected a whole number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d',
      String.raw`STORMLOCK_PRINCIPAL: found "a\nb"; expected a name of 1 to 256 bytes without control characters`,
      'STORMLOCK_SERVER: found "h:0"; expected a port from 1 to 65535',
      'STORMLOCK_LISTEN: found ":7420"; expected a host before the colon: 127.0.0.1:7420, or 0.0.0.0:7420 for all',
      'STORMLOCK_CERT: found "/work/c.pem"; expected the key that belongs to it beside it',
      'STORMLOCK_BACKEND: found "rdis"; did you mean redis?',
    ]);
  });

  test("beyond the file's limits is named with them", async () => {
    const env = { STORMLOCK_TTL: "40d" };
    expect(await complaintsOf(settled(undefined, { env }))).toEqual([
      "STORMLOCK_TTL: found 40d; expected no more than max_ttl, which is 31d",
    ]);
    const asking = { ...env, STORMLOCK_SERVER: "h" };
    expect(await complaintsOf(settled(undefined, { env: asking }))).toEqual([]);
  });
});

describe("a flag", () => {
  test("comes before the variable", async () => {
    const flags = {
      ttl: "40s",
      principal: "flag",
      server: ["flag:1", "flag:2"],
      ca: "f/ca.pem",
      cert: "/f/cert.pem",
      key: "/f/key.pem",
      listen: ["127.0.0.1:3"],
      http: "[::1]:4",
      daemonCert: "/f/d.pem",
      daemonKey: "/f/d.key",
      daemonClientCa: "/f/dca.pem",
      insecure: true,
      logLevel: "warn",
    };
    const config = await fromToml(FILE, { env: ENV, flags, purpose: "daemon" });
    expect(config.client).toEqual({
      servers: ["flag:1", "flag:2"],
      ttlMs: 40_000,
      tls: true,
      ca: "/work/f/ca.pem",
      cert: "/f/cert.pem",
      key: "/f/key.pem",
    });
    expect(principalFor(config, "x")).toBe("flag");
    expect(config.daemon).toEqual({
      listen: ["127.0.0.1:3"],
      http: ["[::1]:4"],
      tls: { cert: "/f/d.pem", key: "/f/d.key", clientCa: "/f/dca.pem" },
      insecure: true,
      logLevel: "warn",
    });
  });

  test("for a ttl asks for it, and changes nothing for others", async () => {
    const { policy } = await fromToml(FILE, { flags: { ttl: "40s" } });
    expect(new Policy(policy.fallback, policy.sections).for("y").ttlMs).toBe(10_000);
  });

  test("that cannot be is the caller's mistake, unless the file has one as well", async () => {
    const error = async (file: string): Promise<ConfigError> => {
      const thrown: unknown = await fromToml(file, { flags: { ttl: "60" } }).catch(
        (e: unknown) => e,
      );
      if (!(thrown instanceof ConfigError)) throw new Error("not refused");
      return thrown;
    };
    expect((await error(FILE)).isUsage).toBe(true);
    expect((await error(FILE)).message).toBe(
      '--ttl: found "60"; expected a whole number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d',
    );
    expect((await error('[default]\nttl = "60"')).isUsage).toBe(false);
  });
});

test("a daemon applies all of the file's rules but its principals", async () => {
  const { fallback, sections } = daemonRules(await fromToml(FILE));
  expect(fallback).toEqual({ ttlMs: 10_000, backend: "etcd" });
  expect(sections).toEqual([{ pattern: "x", rule: { ttlMs: 20_000, backend: "redis" } }]);
});

test("a client that asks a daemon is not kept from it by a backend that is not there", async () => {
  const text = '[default]\nserver = "h"\nbackend = "x"\n[backend.x]\ntype = "oracle"\n';
  expect(await complaintsOf(fromToml(text))).toEqual([]);
  expect(await complaintsOf(fromToml(text, { purpose: "check" }))).toHaveLength(1);
});

test("certificates and keys come in pairs", async () => {
  const key = 'key: found "/etc/stormlock/k"; expected the cert that belongs to it beside it';
  expect(await complaintsOf(fromToml('[default]\nkey = "k"\n'))).toEqual([
    `/etc/stormlock/config.toml:2: [default] ${key}`,
  ]);
  expect(await complaintsOf(fromToml('[daemon]\nclient_ca = "c"\n'))).toEqual([
    '/etc/stormlock/config.toml:2: [daemon] client_ca: found "/etc/stormlock/c"; expected the daemon\'s own cert and key beside it',
  ]);
});

test("TLS is spoken with a file or without one, and never kept from one that has been named", async () => {
  expect((await fromToml("[default]\ntls = true\n")).client).toEqual({ servers: [], tls: true });
  const flags = { tls: true };
  expect((await settled(undefined, { flags })).client).toEqual({ servers: [], tls: true });
  expect(await complaintsOf(fromToml('[default]\nca = "c"\ntls = false\n'))).toEqual([
    '/etc/stormlock/config.toml:3: [default] tls: found false; expected true, or neither ca nor cert nor key (ca is "/etc/stormlock/c")',
  ]);
  expect(await complaintsOf(settled(undefined, { env: { STORMLOCK_TLS: "yes" } }))).toEqual([
    'STORMLOCK_TLS: found "yes"; expected true or false',
  ]);
});
