import { describe, expect, it } from "vitest";
import { accessOf, etcdSettings, type EtcdSettings } from "../../../src/backends/etcd/settings.js";

const complaints = async (settings: unknown): Promise<string[]> => {
  const { error } = (await etcdSettings()).safeParse(settings);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join(".")} ${message}`);
};

describe("etcd's settings", () => {
  it("those of the older tool are taken, a timeout in seconds too", async () => {
    const settings = {
      ...{ host: "etcd.example.com", port: 2380, prefix: "/", timeout: 3, user: "u" },
      ...{ password: "p", ca_cert: "/ca", cert_key: "/key", cert_cert: "/cert" },
    };
    expect(await complaints(settings)).toEqual([]);
    expect(accessOf(settings)).toEqual({
      hosts: ["etcd.example.com:2380"],
      isEncrypted: true,
      caPath: "/ca",
      certPath: "/cert",
      keyPath: "/key",
      login: { name: "u", password: "p" },
      prefix: "/",
      timeoutMs: 3000,
    });
    expect(accessOf({ timeout: "3" }).timeoutMs).toBe(3000);
    expect(accessOf({ timeout: "250ms" }).timeoutMs).toBe(250);
  });

  it("nothing at all is a server on this host", () => {
    const { hosts, isEncrypted, login, prefix, timeoutMs } = accessOf({});
    expect(hosts).toEqual(["localhost:2379"]);
    expect([isEncrypted, login, prefix, timeoutMs]).toEqual([false, undefined, "stormlock/", 5000]);
  });

  it("a list of hosts takes the place of one", () => {
    const hosts = ["a", "b:1234", "https://c/", "[::1]", "[::1]:99"];
    expect(accessOf({ hosts }).hosts).toEqual([
      ...["a:2379", "b:1234", "c:2379", "[::1]:2379", "[::1]:99"],
    ]);
    expect(accessOf({ hosts }).isEncrypted).toBe(true);
    expect(accessOf({ host: "::1" }).hosts).toEqual(["[::1]:2379"]);
  });

  it.each([
    [{ hosts: ["a"], host: "b" }, "host must be left out where hosts are listed"],
    [{ hosts: ["a"], port: 1 }, "port must be left out where hosts are listed"],
    [{ hosts: [] }, "hosts must be a list of one host or more"],
    [{ hosts: ["a b"] }, "hosts.0 must be HOST, HOST:PORT or [IPV6]:PORT, such as etcd-1:2379"],
    [{ host: "a:1" }, "host must be a name or an IP address; the port has a key of its own"],
    [{ port: 0 }, "port must be a port from 1 to 65535"],
    [{ user: "u" }, "user must have password beside it"],
    [{ password: "p" }, "password must have user beside it"],
    [{ cert_key: "/k" }, "cert_key must have cert_cert beside it"],
    [{ cert_cert: "/k" }, "cert_cert must have cert_key beside it"],
    [{ prefix: "" }, "prefix must be 1 to 200 characters, e.g. stormlock/"],
    ...["0", 0, 61, "1h", "soon", -1].map((timeout): [EtcdSettings, string] => [
      { timeout },
      "timeout must be a duration from 100ms to 1m, such as 5s, or a number of seconds",
    ]),
  ] as [EtcdSettings, string][])("%j: %s", async (settings, complaint) => {
    expect(await complaints(settings)).toEqual([complaint]);
  });
});
