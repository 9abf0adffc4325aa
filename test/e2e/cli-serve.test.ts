import { execFileSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { connect as dial } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect } from "../../src/connect.js";
import { CliHome, PROGRAM } from "../support/cli.js";

let home: CliHome;

beforeEach(async () => {
  home = await CliHome.make();
});
afterEach(() => home[Symbol.asyncDispose]());

const ANYWHERE = ["--listen", "127.0.0.1:0"];

describe("stormlock serve", () => {
  it("says where it listens, logs JSON to stderr alone, and never a lease id", async () => {
    const { running, address } = await home.daemon(["--log-level", "debug"]);
    const { stdout } = await home.run(["acquire", "x", "--server", address]);
    await home.run(["release", "x", stdout.trim(), "--server", address]);
    running.kill("SIGTERM");
    const ended = await running.ended;
    expect(ended).toMatchObject({ code: 0, stdout: "" });
    for (const line of ended.stderr.trimEnd().split("\n")) {
      expect(JSON.parse(line)).toMatchObject({ level: expect.any(String) as string });
    }
    expect(ended.stderr.match(/listening on/gu)).toHaveLength(1);
    expect(ended.stderr).toContain("using the local store");
    expect(stdout.trim()).toMatch(/^[0-9a-f]{32}$/u);
    expect(ended.stderr).not.toContain(stdout.trim());
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "on %s sends waiters elsewhere, keeps what is held, and exits 0 within 10 s",
    async (signal) => {
      const { running, address } = await home.daemon();
      const id = (await home.run(["acquire", "x", "--server", address])).stdout.trim();
      const waiting = home.start(["acquire", "x", "-w", "1m", "--server", address]);
      await waiting.stderrMatches(/waiting for x/u);
      const startedMs = performance.now();
      running.kill(signal);
      expect(await running.ended).toMatchObject({ code: 0, signal: null });
      expect(performance.now() - startedMs).toBeLessThan(10_000);
      waiting.kill("SIGTERM");
      await waiting.ended;
      await home.daemon(["--listen", address]);
      expect((await home.run(["is-held", "x", id, "--server", address])).code).toBe(0);
    },
  );

  it.each([
    ["nobody reads what it logs", "mkfifo log; sleep 30 < log > /dev/null 2>&1 & exec", "2> log"],
    ["the disk that it logs to is full", "exec", "2> /dev/full"],
  ])("serves while %s, and ends when it is told to", async (_why, before, after) => {
    const address = `unix:${join(home.path, "locks.sock")}`;
    const serve = `node ${PROGRAM} serve --listen ${address} --log-level debug ${after}`;
    const running = home.start(["-c", `${before} ${serve}`], { program: ["bash"] });
    await using locks = connect({ servers: [address] });
    // Some hundred kilobytes of lines.
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 200 }, (_, at) => locks.current(`r/${String(at)}`)));
    }
    expect(await locks.acquire("x")).toMatchObject({ kind: "granted" });
    const startedMs = performance.now();
    running.kill("SIGTERM");
    expect((await running.ended).code).toBe(0);
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it("ends at once on a second signal", async () => {
    const { running, address } = await home.daemon();
    await home.run(["acquire", "x", "--server", address]);
    // A connection that says nothing and does not go keeps the drain waiting.
    const port = Number(address.split(":")[1]);
    const socket = dial(port, "127.0.0.1").on("error", () => undefined);
    await new Promise((open) => socket.once("connect", open));
    const waiting = home.start(["acquire", "x", "-w", "1m", "--server", address]);
    await waiting.stderrMatches(/waiting for x/u);
    running.kill("SIGTERM");
    await running.stderrMatches(/draining/u);
    running.kill("SIGTERM");
    const { code, signal } = await running.ended;
    expect(signal ?? code).toSatisfy((end) => end === "SIGTERM" || end === 0);
    socket.destroy();
    waiting.kill("SIGTERM");
    await waiting.ended;
  });

  it("names an address that is in use, exit code 69", async () => {
    const { address } = await home.daemon();
    const second = await home.run(["serve", "--listen", address]);
    expect(second).toMatchObject({ code: 69, stdout: "" });
    expect(second.stderr).toContain(`stormlock: ${address} is in use`);
  });

  it("refuses to be reached from elsewhere without proof, exit code 78", async () => {
    const { code, stderr } = await home.run(["serve", "--listen", "0.0.0.0:0"]);
    expect(code).toBe(78);
    expect(stderr).toContain("--insecure");
  });

  it("refuses addresses and certificates that are none, as usage", async () => {
    for (const flags of [
      ["--listen", "nowhere at all"],
      ["--http", "http://127.0.0.1"],
      ["--cert", "cert.pem"],
      ["--log-level", "loud"],
    ]) {
      const { code, stderr } = await home.run(["serve", ...ANYWHERE, ...flags].slice(0, 5));
      expect({ code, flags }).toEqual({ code: 64, flags });
      expect(stderr).toContain(flags[0] ?? "");
    }
  });

  it("listens on unix sockets, and on several addresses", async () => {
    const socket = `unix:${join(home.path, "s.sock")}`;
    const argv = ["serve", ...ANYWHERE, "--listen", socket, "--http", "127.0.0.1:0"];
    const running = home.start(argv);
    const [, tcp = "", http = ""] = await running.stderrMatches(
      /listening on ([^,]+), unix:[^,]+, http ([^"]+)"/u,
    );
    const id = (await home.run(["acquire", "x", "--server", socket])).stdout.trim();
    expect((await home.run(["is-held", "x", id, "--server", tcp])).code).toBe(0);
    expect((await fetch(`http://${http}/healthz`)).status).toBe(200);
  });

  it("takes its settings from its file, and flags before them", async () => {
    const path = await home.file(
      "d.toml",
      `[daemon]\nlisten = ["unix:from-file.sock"]\n["short/*"]\nttl = "2s"\nmax_ttl = "3s"\n`,
    );
    const server = `unix:${join(home.path, "from-file.sock")}`;
    const running = home.start(["serve", "-c", path]);
    await running.stderrMatches(/listening on/u);
    const asked = await home.run(["acquire", "short/1", "--json", "--server", server]);
    expect(JSON.parse(asked.stdout)).toMatchObject({ ttl: "2s" });
    const long = await home.run(["acquire", "short/2", "-t", "1m", "--server", server]);
    expect(long.code).toBe(64);
    expect(long.stderr).toContain("1s to 3s");
    const { address } = await home.daemon(["-c", path]);
    expect(address).toMatch(/^127\.0\.0\.1:/u);
  });
});

describe("a daemon whose store cannot be had", () => {
  it("starts, says so, serves its other stores, and needs no restart when it can", async () => {
    const broken = await home.file("broken.db", "this is no database, but long enough for one");
    const path = await home.file(
      "two.toml",
      [
        `[default]\nbackend = "good"\n["late/*"]\nbackend = "late"`,
        `[backend.good]\ntype = "sqlite"\npath = "${home.path}/good.db"`,
        `[backend.late]\ntype = "sqlite"\npath = "${broken}"`,
      ].join("\n"),
    );
    const { running, address } = await home.daemon(["-c", path]);
    expect(running.stderr).toMatch(/without the backend late for now: [^"]*broken\.db/u);
    await running.stderrMatches(/not ready: [^"]*broken\.db/u);
    const flags = ["--server", address];
    expect((await home.run(["acquire", "x", ...flags])).code).toBe(0);
    const refused = await home.run(["acquire", "late/x", ...flags]);
    expect([refused.code, refused.stdout]).toEqual([69, ""]);
    expect(refused.stderr).toContain("broken.db");
    const readyz = (): Promise<Response> => fetch(`http://${address}/readyz`);
    expect((await readyz()).status).toBe(503);

    await rm(broken);
    // It is tried again a second after the last attempt, when somebody asks.
    const taken = await home.run(["acquire", "late/x", "-w", "20s", ...flags]);
    expect(taken.code).toBe(0);
    expect((await readyz()).status).toBe(200);
    await running.stderrMatches(/"msg":"ready"/u);
  });

  it("hears what its other stores have to say all the same", async () => {
    const broken = await home.file("broken.db", "this is no database, but long enough for one");
    const modest = await home.file(
      "modest.mjs",
      `export const backend = {
        settings: ({ z }) => z.strictObject({}),
        open: async () => ({
          traits: { type: "modest", place: "here", minTtlMs: 1000, takeoverSlackMs: 0 },
          warnings: ["its clock is set by hand"],
          acquire: async () => [], renew: async () => [], release: async () => [],
          current: async () => [], list: async () => [], watch: () => () => {},
          check: async () => {}, [Symbol.asyncDispose]: async () => {},
        }),
      };`,
    );
    const path = await home.file(
      "warned.toml",
      [
        `[default]\nbackend = "late"`,
        `[backend.late]\ntype = "sqlite"\npath = "${broken}"`,
        `[backend.other]\ntype = "${modest}"`,
      ].join("\n"),
    );
    const { running } = await home.daemon(["-c", path]);
    await running.stderrMatches(/not ready: [^"]*broken\.db/u);
    await running.stderrMatches(/other: its clock is set by hand/u);
    expect(running.stderr.match(/set by hand/gu)).toHaveLength(1);
  });

  it("leaves out what the older tool's file has no usable section for", async () => {
    const store = join(home.path, "s.db");
    const lines = `[default]\nbackend=sqlite\n[theirs]\nbackend=mysql\n[backend.sqlite]\npath=${store}\n`;
    const path = await home.file("mixed.cfg", lines);
    const { running, address } = await home.daemon(["-c", path]);
    expect(running.stderr).toMatch(/without the backend mysql/u);
    const flags = ["--server", address];
    expect((await home.run(["acquire", "ours", ...flags])).code).toBe(0);
    const refused = await home.run(["acquire", "theirs", ...flags]);
    expect(refused.code).toBe(70);
    expect(refused.stderr).toContain("mysql");
    expect((await fetch(`http://${address}/readyz`)).status).toBe(200);
    const none = await home.file("none.cfg", "[default]\nbackend=mysql\n");
    const ended = await home.run(["serve", "-c", none]);
    expect(ended.code).toBe(78);
    expect(ended.stderr).toContain("mysql");
  });
});

describe("two daemons on one store", () => {
  it("show the same locks, and wake each other's waiters", async () => {
    const [one, two] = await Promise.all([home.daemon(), home.daemon()]);
    const first = await home.run(["acquire", "x", "-t", "1m", "--server", one.address]);
    const refused = await home.run(["acquire", "x", "--server", two.address]);
    expect(refused.code).toBe(2);
    const waiting = home.start(["acquire", "x", "-w", "30s", "--server", two.address]);
    await waiting.stderrMatches(/waiting for x/u);
    const here = home.start(["acquire", "x", "-w", "30s", "-t", "1m"]);
    await here.stderrMatches(/waiting for x/u);
    await home.run(["release", "x", first.stdout.trim(), "--server", one.address]);
    const next = await Promise.race([waiting.ended, here.ended]);
    expect(next.code).toBe(0);
    await home.run(["release", "x", next.stdout.trim()]);
    const [last, other] = await Promise.all([waiting.ended, here.ended]);
    expect([last.code, other.code]).toEqual([0, 0]);
    expect(last.stdout).not.toBe(other.stdout);
  });

  it("stand in for each other: when one is killed, a wait goes on at the next", async () => {
    const [one, two] = await Promise.all([home.daemon(), home.daemon()]);
    const flags = ["--server", `${one.address},${two.address}`];
    const first = await home.run(["acquire", "x", "-t", "1m", ...flags]);
    const waiting = home.start(["acquire", "x", "-w", "30s", ...flags]);
    await waiting.stderrMatches(/waiting for x/u);
    one.running.kill("SIGKILL");
    await one.running.ended;
    expect((await home.run(["release", "x", first.stdout.trim(), ...flags])).code).toBe(0);
    const ended = await waiting.ended;
    expect(ended.code).toBe(0);
    expect((await home.run(["is-held", "x", ended.stdout.trim(), ...flags])).code).toBe(0);
  });
});

describe("with certificates", () => {
  it("callers prove who they are, and whoever cannot is turned away", async () => {
    const pem = makeCertificates(home.path);
    const { address } = await home.daemon([
      ...["--cert", pem.cert, "--key", pem.key, "--ca", pem.ca],
    ]);
    const server = ["--server", address.replace("127.0.0.1", "localhost"), "--ca", pem.ca];
    const proof = ["--cert", pem.clientCert, "--key", pem.clientKey];
    const taken = await home.run(["acquire", "x", "--principal", "mallory", ...server, ...proof]);
    expect(taken).toMatchObject({ code: 0, stderr: "" });
    const { stdout } = await home.run(["current", "x", ...server, ...proof]);
    expect(stdout).toContain("Principal: ann.example.com\n");
    expect((await home.run(["current", "x", ...server])).code).toBe(69);
    expect((await home.run(["current", "x", "--server", address])).code).toBe(69);
  });
});

function makeCertificates(
  folder: string,
): Record<"ca" | "cert" | "key" | "clientCert" | "clientKey", string> {
  const openssl = (...argv: string[]): void => {
    execFileSync("openssl", argv, { cwd: folder, stdio: "ignore" });
  };
  const authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2"];
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509"];
  openssl("req", ...ec, "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem");
  for (const [name, host] of [
    ["server", "localhost"],
    ["client", "ann.example.com"],
  ] as const) {
    openssl(
      ...["req", ...ec, ...authority, "-subj", `/CN=${host}`],
      ...["-addext", `subjectAltName=DNS:${host}`, "-addext", "basicConstraints=CA:FALSE"],
      ...["-keyout", `${name}.key`, "-out", `${name}.pem`],
    );
  }
  const path = (name: string): string => join(folder, name);
  return {
    ca: path("ca.pem"),
    cert: path("server.pem"),
    key: path("server.key"),
    clientCert: path("client.pem"),
    clientKey: path("client.key"),
  };
}
