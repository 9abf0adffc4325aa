import { describe, expect, test } from "vitest";
import { principalFor } from "../../src/config/settle.js";
import { Policy } from "../../src/lock/policy.js";
import { complaintsOf, fromToml } from "./config.js";

const WHOLE = `
[default]
ttl = "60s"
principal = "alice@example.com"
backend = "main"              # a [backend.NAME] section
server = "127.0.0.1:7420, unix:run/s.sock"
ca = "tls/ca.pem"

["deploy/*"]                  # one resource, or a pattern
ttl = "30m"
max_ttl = "2h"
backend = "locks-db"

[cache]
principal = "bob"

[backend.main]
type = "etcd"
host = "etcd.example.com"
port = 2380
ca_cert = "tls/etcd.pem"

[backend.locks-db]
type = "postgresql"
connection = "\${DATABASE_URL}"

[backend.here]
type = "sqlite"
path = "locks.db"

[daemon]
listen = ["127.0.0.1:7420", "unix:/run/stormlock/stormlock.sock"]
http = "[::1]:8080"
cert = "d.pem"
key = "d.key"
client_ca = "/ca.pem"
insecure = true
log_level = "debug"
`;

describe("a file that says everything", () => {
  const whole = fromToml(WHOLE, { env: { DATABASE_URL: "postgresql://db" }, purpose: "daemon" });

  test("says what applies to each resource", async () => {
    const { fallback, sections } = (await whole).policy;
    const policy = new Policy(fallback, sections);
    expect(policy.for("x")).toMatchObject({ ttlMs: 60_000, backend: "main" });
    expect(policy.for("deploy/prod")).toMatchObject({
      ttlMs: 1_800_000,
      maxTtlMs: 7_200_000,
      minTtlMs: 1000,
      backend: "locks-db",
    });
    expect(principalFor(await whole, "x")).toBe("alice@example.com");
    expect(principalFor(await whole, "cache")).toBe("bob");
  });

  test("says what the backends are, with paths from its own folder and variables put in", async () => {
    const { backends } = await whole;
    expect(
      Array.from(backends.values(), ({ name, type, settings }) => [name, type, settings]),
    ).toEqual([
      [
        "main",
        "etcd",
        { host: "etcd.example.com", port: 2380, ca_cert: "/etc/stormlock/tls/etcd.pem" },
      ],
      ["locks-db", "postgresql", { connection: "postgresql://db" }],
      ["here", "sqlite", { path: "/etc/stormlock/locks.db" }],
    ]);
    expect(backends.get("main")?.where.get("port")).toBe("/etc/stormlock/config.toml:20");
  });

  test("says how a client reaches the daemon, and how the daemon is reached", async () => {
    const { client, daemon, usesBuiltInStore, warnings } = await whole;
    expect(client).toEqual({
      servers: ["127.0.0.1:7420", "unix:/etc/stormlock/run/s.sock"],
      ca: "/etc/stormlock/tls/ca.pem",
    });
    expect(daemon).toEqual({
      listen: ["127.0.0.1:7420", "unix:/run/stormlock/stormlock.sock"],
      http: ["[::1]:8080"],
      tls: { cert: "/etc/stormlock/d.pem", key: "/etc/stormlock/d.key", clientCa: "/ca.pem" },
      insecure: true,
      logLevel: "debug",
    });
    expect(usesBuiltInStore).toBe(false);
    expect(warnings).toEqual([]);
  });
});

test("all that is wrong is said at once, by line, with what would be right", async () => {
  const text = `
[default]
tll = "60s"
ttl = 60
min_ttl = "2 weeks"
principal = ""
backend = "mian"
server = ["localhost", "host:99999"]

["deploy/*"]
ttl = "3h"
max_ttl = "2h"
listen = "x"
colour = "red"

["${"a".repeat(201)}"]

[my.app]
ttl = "1s"

[backend.main]
type = "etdc"

[backend.redis]
url = 5
evict = "yes"
mode = "two"
pool = 5

[backend.etcd]
port = 70000
password = 12

[backend.locks-db]
type = "postgresql"
tabel = "x"

[daemon]
listen = []
insecure = "maybe"
log_level = "loud"
cert = "d.pem"
`;
  const file = "/etc/stormlock/config.toml";
  expect(await complaintsOf(fromToml(text, { purpose: "check" }))).toEqual([
    `${file}:3: [default] tll: found an unknown key; did you mean ttl?`,
    `${file}:4: [default] ttl: found 60; expected a whole number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d`,
    `${file}:5: [default] min_ttl: found "2 weeks"; expected a whole number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d`,
    `${file}:6: [default] principal: found ""; expected a name of 1 to 256 bytes without control characters`,
    `${file}:7: [default] backend: found "mian"; did you mean main?`,
    `${file}:8: [default] server: found ["localhost", "host:99999"]; expected a port from 0 to 65535 in place of "host:99999"`,
    `${file}:11: ["deploy/*"] ttl: found 3h; expected no more than max_ttl, which is 2h`,
    `${file}:13: ["deploy/*"] listen: found an unknown key; expected it in [daemon]`,
    `${file}:14: ["deploy/*"] colour: found an unknown key; expected ttl, min_ttl, max_ttl, principal, backend`,
    `${file}:16: [${"a".repeat(201)}]: found "${"a".repeat(60)}…"; expected the name of a resource (resource "${"a".repeat(40)}…" has 201 bytes; at most 200 are allowed)`,
    `${file}:18: [my.app]: found a section in a section; expected quotes around a resource's name with dots: ["my.app"]`,
    `${file}:22: [backend.main] type: found a type of backend that is not there: "etdc"; did you mean etcd?`,
    `${file}:25: [backend.redis] url: found 5; expected a text in quotes`,
    `${file}:26: [backend.redis] evict: found "yes"; expected true or false`,
    `${file}:27: [backend.redis] mode: found "two"; expected "one" or "cluster"`,
    `${file}:28: [backend.redis] pool: found an unknown key; expected url, evict, mode`,
    `${file}:31: [backend.etcd] port: found 70000; expected number to be <=65535`,
    `${file}:32: [backend.etcd] password: found a value that is not shown; expected a text in quotes`,
    `${file}:34: [backend.locks-db] connection: found nothing; expected a text in quotes`,
    `${file}:36: [backend.locks-db] tabel: found an unknown key; did you mean table?`,
    `${file}:39: [daemon] listen: found []; expected at least one address: HOST, HOST:PORT, [IPV6]:PORT or unix:/PATH, such as 127.0.0.1:7420 or unix:/run/stormlock.sock`,
    `${file}:40: [daemon] insecure: found "maybe"; expected true or false`,
    `${file}:41: [daemon] log_level: found "loud"; expected error, warn, info, debug`,
    `${file}:42: [daemon] cert: found "/etc/stormlock/d.pem"; expected the key that belongs to it beside it`,
  ]);
});

describe("a mistake in the form", () => {
  test("is named with line and column", async () => {
    expect(await complaintsOf(fromToml("[default]\nttl = 1 days\n"))).toEqual([
      expect.stringMatching(
        /^\/etc\/stormlock\/config\.toml:2: column \d+: found a mistake in the TOML \(.+\); expected key = "value", with texts in quotes$/u,
      ),
    ]);
  });

  test.each([
    [
      'ttl = "60s"\n',
      ':1: ttl: found "60s" before any section; expected a section first, such as [default]',
    ],
    ["[[default]]\nx = 1\n", ":1: default: found [[default]]; expected [default]"],
    [
      '[backend]\ntype = "etcd"\n',
      ':2: [backend] type: found "etcd"; expected a section for every backend, such as [backend.main]',
    ],
    [
      "[backends.main]\nx = 1\n",
      ":1: [backends.main]: found a section in a section; did you mean [backend.main]?",
    ],
    ["[default]\nttl = 2024-01-01\n", ":2: [default] ttl: found 2024-01-01"],
    ["[default]\nttl = { a = 1 }\n", ":2: [default] ttl: found a table; expected a whole number"],
  ])("%j is refused", async (text, complaint) => {
    const [first, ...others] = await complaintsOf(fromToml(text));
    expect(first).toContain(`/etc/stormlock/config.toml${complaint}`);
    expect(others).toEqual([]);
  });

  test("a byte order mark and other line ends are none", async () => {
    const { policy } = await fromToml('\uFEFF[default]\r\nttl = "5s"\r\n');
    expect(policy.fallback.ttlMs).toBe(5000);
  });
});

describe("variables", () => {
  test("that are not set are named; what they hold is never shown", async () => {
    const text =
      '[default]\nbackend = "m"\nprincipal = "${WHO}"\nttl = "${TTL}"\n[backend.m]\ntype = "redis"\nurl = "${URL}"\nevict = "${EVICT}"\n';
    const file = "/etc/stormlock/config.toml";
    expect(
      await complaintsOf(fromToml(text, { env: { TTL: "hunter2", EVICT: "hunter2" } })),
    ).toEqual([
      `${file}:3: [default] principal: found "\${WHO}"; expected the environment variable WHO, which is not set`,
      `${file}:4: [default] ttl: found "\${TTL}"; expected a whole number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d`,
      `${file}:7: [backend.m] url: found "\${URL}"; expected the environment variable URL, which is not set`,
      `${file}:8: [backend.m] evict: found "\${EVICT}"; expected true or false`,
    ]);
  });

  test("may stand for numbers and for yes or no", async () => {
    const text =
      '[default]\nbackend = "etcd"\n[backend.etcd]\nport = "${PORT}"\n[backend.redis]\nevict = "${EVICT}"\n[daemon]\ninsecure = "${INSECURE}"\n';
    const env = { PORT: "2380", EVICT: "yes", INSECURE: "true" };
    const { backends, daemon } = await fromToml(text, { env });
    expect(backends.get("etcd")?.settings).toEqual({ port: 2380 });
    expect(backends.get("redis")?.settings).toEqual({ evict: true });
    expect(daemon.insecure).toBe(true);
  });

  test("of a backend are not needed by a client that asks a daemon", async () => {
    const text =
      '[default]\nserver = "h"\nbackend = "m"\n[backend.m]\ntype = "redis"\nurl = "${URL}"\n';
    expect((await fromToml(text)).client.servers).toEqual(["h:7420"]);
    expect(await complaintsOf(fromToml(text, { purpose: "daemon" }))).toHaveLength(1);
  });
});

describe("which backend is used", () => {
  test("has to be said where there are some: nobody locks in an empty store unawares", async () => {
    expect(await complaintsOf(fromToml('[default]\nttl = "5s"\n[backend.etcd]\n'))).toEqual([
      '/etc/stormlock/config.toml:1: [default] backend: found nothing; expected "etcd", or "default" for the local store',
    ]);
  });

  test("is the built-in one where there are none, or where it is asked for", async () => {
    expect((await fromToml('[default]\nttl = "5s"\n')).usesBuiltInStore).toBe(true);
    const config = await fromToml(
      '[default]\nbackend = "etcd"\n[x]\nbackend = "default"\n[backend.etcd]\n',
    );
    expect(config.usesBuiltInStore).toBe(true);
    expect(config.backends.get("default")).toMatchObject({
      type: "sqlite",
      isBuiltIn: true,
      settings: { path: "/home/ann/.local/state/stormlock/locks.db" },
    });
  });

  test("is one's own when one calls it default", async () => {
    const config = await fromToml('[backend.default]\ntype = "redis"\n');
    expect(config.usesBuiltInStore).toBe(false);
    expect(config.backends.get("default")).toMatchObject({ type: "redis", isBuiltIn: false });
  });

  test("may be a plug-in with keys of its own", async () => {
    const config = await fromToml(
      '[default]\nbackend = "p"\n[backend.p]\ntype = "/opt/plug-in.js"\nplace = "x"\nother = 1\n',
    );
    expect(config.backends.get("p")?.settings).toEqual({ place: "x", other: 1 });
  });
});

describe("limits have to fit together", () => {
  test.each([
    [
      '[default]\nttl = "40d"\n',
      ":2: [default] ttl: found 40d; expected no more than max_ttl, which is 31d",
    ],
    [
      '[default]\nttl = "500ms"\n',
      ":2: [default] ttl: found 500ms; expected no less than min_ttl, which is 1s",
    ],
    [
      '[default]\nmin_ttl = "1h"\nmax_ttl = "1m"\n',
      ":2: [default] min_ttl: found 1h; expected no more than max_ttl, which is 1m",
    ],
    [
      '[x]\nmax_ttl = "30s"\n',
      ":2: [x] max_ttl: found 30s; expected no less than the ttl here, which is 1m, or another ttl",
    ],
    [
      '[x]\nmin_ttl = "2m"\n',
      ":2: [x] min_ttl: found 2m; expected no more than the ttl here, which is 1m, or another ttl",
    ],
    ['[default]\nttl = "0s"\n', ':2: [default] ttl: found "0s"; expected more than nothing'],
  ])("%j is refused", async (text, complaint) => {
    expect(await complaintsOf(fromToml(text))).toEqual([`/etc/stormlock/config.toml${complaint}`]);
  });

  test("and do when they are given together", async () => {
    expect(
      await complaintsOf(fromToml('[default]\nttl = "40d"\nmax_ttl = "60d"\n[x]\nttl = "50d"\n')),
    ).toEqual([]);
    expect(await complaintsOf(fromToml('[x]\nmin_ttl = "10ms"\nttl = "20ms"\n'))).toEqual([]);
  });
});

test("what a backend says of its own keys is passed on", async () => {
  const text = '[default]\nbackend = "etcd"\n[backend.etcd]\nhost = "http://h"\n';
  expect(await complaintsOf(fromToml(text))).toEqual([
    '/etc/stormlock/config.toml:4: [backend.etcd] host: found "http://h"; expected a host without a scheme',
  ]);
});

test("a section that looks like a mistyped [default] or [daemon] is warned of", async () => {
  const { warnings } = await fromToml('[defaults]\nttl = "5s"\n');
  expect(warnings).toEqual([
    "/etc/stormlock/config.toml:1: [defaults] is read as a resource of that name; did you mean [default]?",
  ]);
});
