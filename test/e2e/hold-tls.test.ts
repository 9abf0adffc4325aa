// `stormlock hold` with certificates on both sides: it is kept as without, and nobody else gets in.

import { resolve } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { connect } from "../../src/index.js";
import { Authority, type Pair } from "../rpc/support/certificates.js";
import type { DaemonProcess } from "../support/cli.js";
import { HoldHome, until } from "../support/hold-cli.js";

const LIBRARY = resolve("dist/index.js");

const authority = new Authority();
const stranger = new Authority();
let home: HoldHome;
let daemon: DaemonProcess;
let serving: string[];
beforeAll(async () => {
  home = await HoldHome.make();
  const files = await pairFiles("daemon", authority.issue("/CN=localhost", "IP:127.0.0.1"));
  await home.cli.file("ca.pem", authority.cert.toString());
  await home.cli.file("strangers-ca.pem", stranger.cert.toString());
  await pairFiles("ann", authority.issue("/CN=ann", "URI:spiffe://example/ann"));
  await pairFiles("mallory", stranger.issue("/CN=ann", "URI:spiffe://example/ann"));
  serving = ["-c", home.config, ...files, "--ca", "ca.pem"];
  daemon = await home.cli.daemon(serving, { mostMs: 300_000 });
});
afterAll(async () => {
  await home[Symbol.asyncDispose]();
  authority[Symbol.dispose]();
  stranger[Symbol.dispose]();
});

/** Writes a certificate and its key. @returns the words of the command line that name them */
async function pairFiles(name: string, { cert, key }: Pair): Promise<string[]> {
  await home.cli.file(`${name}.pem`, cert.toString());
  await home.cli.file(`${name}.key`, key.toString());
  return as(name);
}

function as(name: string): string[] {
  return ["--cert", `${name}.pem`, "--key", `${name}.key`];
}

describe("with a client certificate", { concurrent: true }, () => {
  test("it is held as who the certificate says, whatever else is said", async ({ expect }) => {
    const how = {
      ...{ servers: [daemon.address], ttl: "10s" },
      flags: [...as("ann"), "--ca", "ca.pem", "--principal", "the king"],
    };
    const command = ["sh", "-c", 'echo "$STORMLOCK_PRINCIPAL"; exit 7'];
    expect(await home.run("who", how, command)).toMatchObject({
      ...{ code: 7, stdout: "spiffe://example/ann\n", stderr: "" },
    });
  });

  test("it outlives its ttl and a killed daemon, with the same token", async ({ expect }) => {
    const own = await home.cli.daemon(serving, { mostMs: 300_000 });
    const how = { servers: [own.address], ttl: "10s", flags: [...as("ann"), "--ca", "ca.pem"] };
    const running = home.hold("kept", how, home.beat("kept", 15_000, 5));
    const { token } = await home.born("kept");
    own.running.kill("SIGKILL");
    await own.running.ended;
    const next = await home.cli.daemon([...serving, "--listen", own.address]);
    const ended = await running.ended;
    expect(ended).toMatchObject({ code: 5, stderr: "" });
    expect(home.life("kept")?.token).toBe(token);
    next.running.kill("SIGTERM");
    await next.running.ended;
  });

  test("a sidecar shows that it holds, and gives back", async ({ expect }) => {
    const ready = home.path("tls-ready");
    const running = home.cli.start([
      ...["hold", "side", "--sidecar", "--ready-file", ready, "--server", daemon.address],
      ...[...as("ann"), "--ca", "ca.pem"],
    ]);
    await until("it is ready", () => home.has(ready));
    running.kill("SIGTERM");
    expect((await running.ended).code).toBe(0);
    expect(home.has(ready)).toBe(false);
  });
});

describe("without the right certificates nothing is run", { concurrent: true }, () => {
  test.for([
    ["no certificate", ["--ca", "ca.pem"], 69, /127\.0\.0\.1/u],
    ["one that a stranger has issued", [...as("mallory"), "--ca", "ca.pem"], 69, /127\.0\.0\.1/u],
    ["a daemon that cannot be trusted", [...as("ann"), "--ca", "strangers-ca.pem"], 69, /certif/u],
    ["no TLS at all", [], 69, /127\.0\.0\.1/u],
    ["a certificate without its key", ["--cert", "ann.pem", "--ca", "ca.pem"], 64, /key/u],
    ["a file that is not there", [...as("nobody"), "--ca", "ca.pem"], 78, /nobody\.pem/u],
  ] as const)("%s", async ([name, flags, code, words], { expect }) => {
    const how = { servers: [daemon.address], ttl: "10s", flags };
    const ended = await home.run(name, how, ["echo", "ran"]);
    expect(ended).toMatchObject({ code, stdout: "" });
    expect(ended.stderr).toMatch(words);
  });
});

describe("with nothing but an authority that Node knows", { concurrent: true }, () => {
  // As if the authority were one of those that come with Node.
  const env = { NODE_EXTRA_CA_CERTS: "ca.pem" };
  let open: DaemonProcess;
  beforeAll(async () => {
    const files = ["-c", home.config, "--cert", "daemon.pem", "--key", "daemon.key"];
    open = await home.cli.daemon(files, { mostMs: 300_000 });
  });

  test("--tls is enough, to ask and to hold", async ({ expect }) => {
    const asking = ["--tls", "--server", open.address];
    expect(await home.cli.run(["current", "free", ...asking], { env })).toMatchObject({ code: 1 });
    expect(await home.cli.run(["health", ...asking], { env })).toMatchObject({ code: 0 });
    const how = { servers: [open.address], ttl: "10s", flags: ["--tls"], env };
    expect(await home.run("known", how, ["echo", "ran"])).toMatchObject({ stdout: "ran\n" });
    const said = { ...env, STORMLOCK_TLS: "true", STORMLOCK_SERVER: open.address };
    expect(await home.cli.run(["current", "free"], { env: said })).toMatchObject({ code: 1 });
  });

  test("a daemon of an unknown authority is not asked", async ({ expect }) => {
    const ended = await home.cli.run(["current", "x", "--tls", "--server", open.address]);
    expect(ended).toMatchObject({ code: 69, stdout: "" });
    expect(ended.stderr).toMatch(/certif/u);
  });

  test("a library's client speaks TLS with no more than tls: true", async ({ expect }) => {
    const program = `
      import { connect } from ${JSON.stringify(LIBRARY)};
      const locks = connect({ servers: [process.argv[2]], tls: true });
      console.log((await locks.current("free")) ?? "nobody");
      await locks[Symbol.asyncDispose]();`;
    const file = await home.cli.file("tls.mjs", program);
    const run = { env, program: [process.execPath] };
    const ended = await home.cli.run([file, open.address], run);
    expect(ended).toMatchObject({ code: 0, stdout: "nobody\n" });
    expect(() => connect({ servers: [open.address], tls: false, ca: authority.cert })).toThrow(
      "tls is false, but ca is given",
    );
  });
});
