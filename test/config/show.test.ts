import { parse } from "smol-toml";
import { expect, test } from "vitest";
import { showConfig } from "../../src/config/show.js";
import { complaintsOf, fromIni, fromToml, settled } from "./config.js";

const TOML = `
[default]
principal = "alice"
backend = "cache"
[ "deploy/*" ]
ttl = "90s"
[backend.cache]
type = "redis"
url = "redis://:hunter2@cache:6379"
[backend."a.b"]
type = "postgresql"
connection = "\${DATABASE_URL}"
[backend.etcd]
password = "hunter2"
ca_cert = "ca.pem"
`;

test("the effective configuration is TOML without secrets, and says where each value is from", async () => {
  const env = { DATABASE_URL: "host=db password=hunter2", STORMLOCK_LISTEN: "127.0.0.1:1" };
  const flags = { server: ["h:1"], principal: 'o"brien' };
  expect(showConfig(await fromToml(TOML, { env, flags, purpose: "check" }))).toBe(
    `[default]
ttl = "1m"  # built in
min_ttl = "1s"  # built in
max_ttl = "31d"  # built in
principal = "o\\"brien"  # --principal
backend = "cache"  # /etc/stormlock/config.toml:4
server = ["h:1"]  # --server

["deploy/*"]
ttl = "1m30s"  # /etc/stormlock/config.toml:6

[backend.cache]
type = "redis"  # /etc/stormlock/config.toml:8
url = "redis://:***@cache:6379"  # /etc/stormlock/config.toml:9

[backend."a.b"]
type = "postgresql"  # /etc/stormlock/config.toml:11
connection = "\${DATABASE_URL}"  # /etc/stormlock/config.toml:12

[backend.etcd]
type = "etcd"  # /etc/stormlock/config.toml:13
password = "***"  # /etc/stormlock/config.toml:14
ca_cert = "/etc/stormlock/ca.pem"  # /etc/stormlock/config.toml:15

[daemon]
listen = ["127.0.0.1:1"]  # STORMLOCK_LISTEN
insecure = false  # built in
log_level = "info"  # built in
`,
  );
});

test("what is built in is shown as such", async () => {
  const text = showConfig(await settled());
  expect(text).toContain('backend = "default"  # built in\n');
  expect(text).toContain(
    '[backend.default]\ntype = "sqlite"  # built in\npath = "/home/ann/.local/state/stormlock/locks.db"  # built in\n',
  );
});

test("a file of the older tool is shown as the TOML that means the same", async () => {
  const text = showConfig(
    await fromIni(
      "[default]\nbackend = etcd\nttl = 2 hours\n[deploy/prod]\nttl = 1 days\nbackend = mysql\n[backend.etcd]\nport = 2380\npassword = hunter2\n[backend.mysql]\npassword = hunter2\n",
      { purpose: "check" },
    ),
  );
  expect(text).not.toContain("hunter2");
  expect(text).toContain('["deploy/prod"]\nttl = "1d"  # /home/ann/.stormlock.cfg:5\n');
  expect(text).toContain("port = 2380  # /home/ann/.stormlock.cfg:8\n");
  expect(text).toContain(
    '# /home/ann/.stormlock.cfg:10: [backend.mysql]: found a type of backend that is not there: "mysql"',
  );
});

test("what is shown can be read again, and means the same", async () => {
  const first = await fromToml(
    '[default]\nbackend = "etcd"\n["a b\\"é"]\nttl = "1h"\n[backend.etcd]\nport = 1\nhost = "x\\u007f\\n"\n[daemon]\nhttp = "[::1]"\n',
  );
  const text = showConfig(first);
  expect(parse(text)).toMatchObject({ backend: { etcd: { host: "x\u007f\n" } } });
  expect(await complaintsOf(fromToml(text))).toEqual([]);
  const second = await fromToml(text);
  expect(second.policy.sections).toEqual(first.policy.sections);
  expect(second.daemon).toEqual(first.daemon);
  expect(second.backends.get("etcd")?.settings).toEqual(first.backends.get("etcd")?.settings);
});
