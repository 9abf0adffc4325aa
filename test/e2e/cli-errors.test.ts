import { existsSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CliHome, PROGRAM, type Ended } from "../support/cli.js";

let home: CliHome;

beforeEach(async () => {
  home = await CliHome.make();
});
afterEach(() => home[Symbol.asyncDispose]());

/** Whatever is wrong: nothing on stdout, the message, and never a stack. */
function expectComplaint(ended: Ended, code: number, ...words: string[]): void {
  expect(ended).toMatchObject({ code, stdout: "" });
  for (const word of words) expect(ended.stderr).toContain(word);
  expect(ended.stderr).toMatch(/^stormlock: /u);
  expect(ended.stderr).not.toMatch(/^ +at /mu);
}

describe("what was mistyped", () => {
  it("is one line and a hint, exit code 64", async () => {
    expect((await home.run(["acquire", ""])).code).toBe(64);
    expect(existsSync(join(home.path, "state"))).toBe(false);
    await home.run(["list"]);
    for (const [argv, message, hint] of [
      [[], "no command is given", "stormlock --help tells more"],
      [["aquire", "x"], "did you mean acquire?", "stormlock --help tells more"],
      [["acquire", "x", "--wiat", "5m"], "did you mean --wait?", "stormlock acquire --help"],
      [["acquire", "x", "-t", "10"], "did you mean 10s?", "stormlock acquire --help"],
      [["acquire", "x", "--label", "novalue"], "give KEY=VALUE", "stormlock acquire --help"],
      [["current", "x", "--id-only", "-f", "rows"], "choose one", "stormlock current --help"],
      [["acquire", ""], "resource is empty", "stormlock acquire --help"],
      [["acquire", "x".repeat(201)], "has 201 bytes; at most 200", "stormlock acquire --help"],
      [["acquire", "a\u0007b"], "control character", "stormlock acquire --help"],
      [["acquire", "x", "-t", "10ms"], "ttl 10ms is outside the limits", "stormlock acquire"],
      [["acquire", "x", "-t", "100d"], "1s to 31d", "stormlock acquire --help"],
      [["acquire", "x", "--server", "a b"], "--server", "stormlock acquire --help"],
    ] as const) {
      const ended = await home.run(argv);
      expectComplaint(ended, 64, message, hint);
      expect(ended.stderr.trimEnd().split("\n"), String(argv)).toHaveLength(2);
    }
  });

  it("is told as JSON where JSON is asked for", async () => {
    const ended = await home.run(["acquire", "x", "--tll", "5m", "--json"]);
    expect(ended).toMatchObject({ code: 64, stdout: "" });
    expect(JSON.parse(ended.stderr)).toMatchObject({
      error: "usage",
      message: "there is no option --tll; did you mean --ttl?",
    });
  });
});

describe("a configuration that is wrong", () => {
  it("names file, line, key and what would be right, exit code 78, with every command", async () => {
    const path = await home.file("typo.toml", `[default]\nttl = "60s"\n\n[default.x]\n`);
    await writeFile(path, `[default]\nttl = "1h"\nprincpal = "ann"\n`);
    for (const argv of [
      ["acquire", "x"],
      ["is-held", "x", "y"],
      ["acquire", "x", "--server", "127.0.0.1:1"],
      ["list"],
      ["serve"],
      ["config", "check"],
      ["config", "show"],
    ]) {
      const ended = await home.run([...argv, "-c", path]);
      expectComplaint(ended, 78, `${path}:3: [default] princpal`, "did you mean principal?");
    }
    const json = await home.run(["config", "check", "--json", "-c", path]);
    expect(json.code).toBe(78);
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, complaints: [{ line: 3 }] });
  });

  it("names every mistake, not only the first", async () => {
    const path = await home.file("two.toml", `[default]\nttl = 5\n[daemon]\nlissten = "x"\n`);
    const { stderr } = await home.run(["config", "check", "-c", path]);
    expect(stderr).toMatch(/two\.toml:2: .*\n.*two\.toml:4: /u);
  });

  it("a named file that is not there is one, and none in the usual places is not", async () => {
    expectComplaint(await home.run(["acquire", "x", "-c", "no.toml"]), 78, "no such file");
    const env = { STORMLOCK_CONFIG: "/no/such/file.toml" };
    expectComplaint(await home.run(["current", "x"], { env }), 78, "STORMLOCK_CONFIG");
    expect(await home.run(["config", "path"])).toMatchObject({ code: 1, stdout: "" });
    expect((await home.run(["config", "check"])).code).toBe(0);
  });

  it("a type of store that there is not is one, with what there is", async () => {
    const path = await home.file(
      "t.toml",
      `[default]\nbackend = "a"\n[backend.a]\ntype = "sqlit"\n`,
    );
    expectComplaint(await home.run(["acquire", "x", "-c", path]), 78, "t.toml:4", "sqlite");
  });

  it("in the older tool's file, a store we lack is one only for whoever uses it", async () => {
    const path = await home.file(
      "old.cfg",
      `[default]\nbackend=sqlite\n[theirs]\nbackend=mysql\n[backend.sqlite]\npath=${home.path}/s.db\n`,
    );
    expect((await home.run(["acquire", "ours", "-c", path])).code).toBe(0);
    expectComplaint(await home.run(["acquire", "theirs", "-c", path]), 78, "mysql");
    const listed = await home.run(["list", "-c", path]);
    expect(listed.code).toBe(0);
    expect(listed.stdout).toMatch(/^ours\t/u);
    expect(listed.stderr).toContain("not listed");
  });

  it("certificates that cannot be read are one", async () => {
    const flags = ["--server", "127.0.0.1:1", "--ca", "no.pem"];
    expectComplaint(await home.run(["acquire", "x", ...flags]), 78, "no.pem: no such file");
    const text = await home.file("bad.pem", "nonsense");
    const bad = await home.run(["acquire", "x", "--server", "127.0.0.1:1", "--ca", text]);
    expectComplaint(bad, 78, text, "a PEM file with a CERTIFICATE");
    const half = await home.run(["acquire", "x", "--server", "127.0.0.1:1", "--cert", text]);
    expectComplaint(half, 64, "--cert", "key");
  });
});

describe("a store that cannot be used", () => {
  it("is exit code 69 with what to do, and never a plain no", async () => {
    const notOurs = await home.file("text.db", "this is no database, but long enough for one");
    const path = await home.file(
      "bad.toml",
      `[default]\nbackend = "s"\n[backend.s]\ntype = "sqlite"\npath = "${notOurs}"\n`,
    );
    for (const argv of [["acquire", "x"], ["is-held", "x", "y"], ["current", "x"], ["list"]]) {
      const ended = await home.run([...argv, "-c", path]);
      expectComplaint(ended, 69, notOurs, "is not a Stormlock store");
    }
  });

  it.skipIf(process.getuid?.() !== 0)("says so when the folder is another user's", async () => {
    await chmod(home.path, 0o755);
    await mkdir(join(home.path, "state"), { mode: 0o755 });
    const asNobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const program = [...asNobody, process.execPath, PROGRAM];
    const ended = await home.run(["acquire", "x"], { program });
    expectComplaint(ended, 69, join(home.path, "state"), "write permission");
  });
});

describe("a daemon that cannot be asked", () => {
  it("is exit code 69 with its address after a few seconds, and is-held never says no", async () => {
    const startedMs = performance.now();
    const asks = [["acquire", "x"], ["is-held", "x", "y"], ["current", "x"], ["list"]];
    const ended = await Promise.all(
      asks.map((argv) => home.run([...argv, "--server", "127.0.0.1:1"])),
    );
    expect(performance.now() - startedMs).toBeLessThan(8000);
    for (const each of ended) expectComplaint(each, 69, "127.0.0.1:1 cannot be reached");
  });

  it("is exit code 69 with all its addresses when none answers", async () => {
    const ended = await home.run(["current", "x", "--server", "127.0.0.1:1,127.0.0.1:2"]);
    expectComplaint(ended, 69, "127.0.0.1:1, 127.0.0.1:2");
  });

  it("that takes connections and says nothing is one, too", async () => {
    await using silent = await silentServer();
    const startedMs = performance.now();
    const ended = await home.run(["is-held", "x", "y", "--server", silent.address]);
    expectComplaint(ended, 69, silent.address);
    expect(performance.now() - startedMs).toBeLessThan(6000);
  });

  it("is passed over for the next one in the list", async () => {
    const { address } = await home.daemon();
    const flags = ["--server", `127.0.0.1:1,${address}`];
    const { code, stdout } = await home.run(["acquire", "x", ...flags]);
    expect(code).toBe(0);
    expect((await home.run(["is-held", "x", stdout.trim(), ...flags])).code).toBe(0);
  });

  it("is gone after it was there: 69, and 0 again when it is back", async () => {
    const { running, address } = await home.daemon();
    const id = (await home.run(["acquire", "x", "--server", address])).stdout.trim();
    running.kill("SIGKILL");
    await running.ended;
    expectComplaint(await home.run(["is-held", "x", id, "--server", address]), 69, address);
    await home.daemon(["--listen", address]);
    expect((await home.run(["is-held", "x", id, "--server", address])).code).toBe(0);
  });
});

async function silentServer(): Promise<AsyncDisposable & { readonly address: string }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on("error", () => undefined)));
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  return {
    address: `127.0.0.1:${String(port)}`,
    [Symbol.asyncDispose]: () =>
      new Promise((closed) => {
        server.close(() => {
          closed();
        });
        for (const socket of sockets) socket.destroy();
      }),
  };
}
