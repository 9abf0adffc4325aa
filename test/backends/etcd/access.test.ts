// Who may, and what is said to whom who may not.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Etcd3 } from "etcd3";
import { Authority } from "../../rpc/support/certificates.js";
import { freePort } from "../../support/free-port.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary.js";
import { ask, missing, open, outcome, take } from "./stage.js";
import { LOGIN, withUsers } from "./users.js";

const messageOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message : String(thrown);

describe.skipIf(missing !== undefined)("etcd with users, a role on one prefix", () => {
  let server: EtcdServer;
  let root: Etcd3;

  beforeAll(async () => {
    server = await EtcdServer.start({ flags: ["--auth-token-ttl", "2"] });
    root = await withUsers(server);
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  it("a login that has run out is made anew, for reading, writing and watching", async () => {
    await using backend = await open(server.address, LOGIN);
    const lease = await take(backend, "login");
    const heard: (string | undefined)[] = [];
    backend.watch?.((resource) => heard.push(resource));
    // etcd forgets a login that was not used for so long.
    await new Promise((wake) => setTimeout(wake, 4000));
    expect(outcome((await backend.renew([{ ...lease, ttlMs: undefined }]))[0])).toBe("renewed");
    await new Promise((wake) => setTimeout(wake, 4000));
    expect(outcome((await backend.release([lease]))[0])).toBe("released");
    await new Promise((wake) => setTimeout(wake, 1000));
    expect(heard.length).toBeGreaterThan(0);
  });

  it("rights that are changed while it works do not stop it", async () => {
    await using backend = await open(server.address, LOGIN);
    const lease = await take(backend, "rights");
    await root.role("another").create();
    expect(outcome((await backend.renew([{ ...lease, ttlMs: undefined }]))[0])).toBe("renewed");
    await server.restart();
    expect(outcome((await backend.release([lease]))[0])).toBe("released");
  });

  it("a wrong password, no login, and a role for other keys are told apart", async () => {
    const check = async (settings: object): Promise<string> => {
      await using backend = await open(server.address, settings);
      const [answer] = await backend.acquire([ask("x")]);
      const complaint = await backend.check().then(String, messageOf);
      expect(outcome(answer)).toBe(complaint);
      expect(complaint).not.toContain("secret");
      return complaint;
    };
    const place = `etcd at ${server.address}`;
    expect(await check({ ...LOGIN, password: "a-wrong-secret" })).toBe(
      `${place} refuses the login of user "locker": the user or the password is wrong`,
    );
    expect(await check({})).toBe(
      `${place} wants a login: put user and password into the configuration`,
    );
    expect(await check({ ...LOGIN, prefix: "elsewhere" })).toBe(
      `${place} does not let user "locker" read and write below elsewhere/: run: etcdctl role grant-permission --prefix=true ROLE readwrite elsewhere/`,
    );
  });

  it("a role that may only read is found out by the check", async () => {
    const role = await root.role("reader").create();
    await role.grant({ permission: "Read", range: root.range({ prefix: "stormlock/" }) });
    const user = await root.user("reader").create("reader-secret");
    await user.addRole("reader");
    await using backend = await open(server.address, { user: "reader", password: "reader-secret" });
    await expect(backend.check()).rejects.toThrow(/does not let user "reader" read and write/u);
  });
});

describe.skipIf(missing !== undefined)("etcd, what is wrong with it", () => {
  let server: EtcdServer;

  beforeAll(async () => {
    server = await EtcdServer.start();
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  it("nobody listens there", async () => {
    await using backend = await open(`127.0.0.1:${String(await freePort())}`);
    await expect(backend.check()).rejects.toThrow(
      /^etcd at 127\.0\.0\.1:\d+ is not reachable \(connect ECONNREFUSED .*\): see that it runs/u,
    );
  });

  it("the name is unknown", async () => {
    await using backend = await open("nowhere.invalid:2379");
    await expect(backend.check()).rejects.toThrow(
      /^etcd at nowhere\.invalid:2379 is not reachable \(.*\): see that it runs/u,
    );
  });

  it("it knows no users", async () => {
    await using backend = await open(server.address, LOGIN);
    await expect(backend.check()).rejects.toThrow(/knows no users: take user and password out/u);
  });

  it("a certificate cannot be read", async () => {
    await expect(open(server.address, { ca_cert: "/nowhere/ca.pem" })).rejects.toThrow(
      /^etcd at .* cannot be used: ENOENT.*\/nowhere\/ca\.pem/u,
    );
  });

  it("TLS is configured and it does not speak it", async () => {
    await using backend = await open("", { hosts: [`https://${server.address}`] });
    await expect(backend.check()).rejects.toThrow(/is not reachable \(.*\): see that/u);
  });

  it("an old version is used, and warned of once it is known", async () => {
    await using backend = await open(server.address);
    expect(backend.warnings).toEqual([]);
    await backend.check();
    const { version } = await server.admin().maintenance.status();
    const [, minor = 0, patch = 0] = version.split(".").map(Number);
    const isSound = minor > 6 || (minor === 6 && patch >= 9) || (minor === 5 && patch >= 28);
    const warning = `etcd at ${server.address} is version ${version}, with known faults in leases and access control: update it to 3.5.28, 3.6.9 or later`;
    expect(backend.warnings).toEqual(isSound ? [] : [warning]);
  });
});

describe.skipIf(missing !== undefined)("etcd with TLS, client certificates and users", () => {
  let directory: TemporaryDirectory;
  let server: EtcdServer;
  let tls: { ca_cert: string; cert_cert: string; cert_key: string };

  beforeAll(async () => {
    directory = await temporaryDirectory();
    using authority = new Authority();
    const own = authority.issue("/CN=etcd", "IP:127.0.0.1,DNS:localhost");
    const client = authority.issue("/CN=stormlock");
    const file = async (name: string, content: Buffer): Promise<string> => {
      await writeFile(join(directory.path, name), content);
      return join(directory.path, name);
    };
    const ca = await file("ca.crt", authority.cert);
    const flags = [
      ...["--cert-file", await file("etcd.crt", own.cert)],
      ...["--key-file", await file("etcd.key", own.key)],
      ...["--trusted-ca-file", ca, "--client-cert-auth"],
    ];
    tls = {
      ca_cert: ca,
      cert_cert: await file("client.crt", client.cert),
      cert_key: await file("client.key", client.key),
    };
    server = await EtcdServer.start({ flags, isEncrypted: true });
    await withUsers(server, {
      credentials: {
        rootCertificate: authority.cert,
        privateKey: client.key,
        certChain: client.cert,
      },
    });
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  it("a lock's whole life", async () => {
    await using backend = await open(server.address, { ...tls, ...LOGIN });
    await backend.check();
    expect(backend.warnings.join()).not.toContain("in the clear");
    const lease = await take(backend, "x");
    expect(outcome((await backend.renew([{ ...lease, ttlMs: undefined }]))[0])).toBe("renewed");
    expect(outcome((await backend.acquire([ask("x")]))[0])).toBe("held");
    expect(outcome((await backend.release([lease]))[0])).toBe("released");
  });

  it("without TLS it says that TLS is wanted", async () => {
    await using backend = await open(server.address, LOGIN);
    await expect(backend.check()).rejects.toThrow(/is not reachable \(.*\): .*TLS/u);
  });

  it("with another authority's certificate it says so", async () => {
    using stranger = new Authority();
    const ca_cert = join(directory.path, "stranger.crt");
    await writeFile(ca_cert, stranger.cert);
    await using backend = await open(server.address, { ...tls, ...LOGIN, ca_cert });
    await expect(backend.check()).rejects.toThrow(
      /is not reachable \(.*certificate.*\): see that ca_cert is what its certificate is signed with/u,
    );
  });

  it("without a client certificate it is refused", async () => {
    await using backend = await open(server.address, { ca_cert: tls.ca_cert, ...LOGIN });
    await expect(backend.check()).rejects.toThrow(/is not reachable/u);
  });
});
