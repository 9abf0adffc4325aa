// The example of a plug-in, as its author and its users have it: a package of its own beside the
// built Stormlock.

import { cp, mkdir, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CliHome } from "../support/cli.js";

const EXAMPLE = resolve("docs/examples/plug-in");

let home: CliHome;
let packageFolder: string;

beforeAll(async () => {
  home = await CliHome.make();
  packageFolder = join(home.path, "etc/node_modules/stormlock-journal");
  await cp(EXAMPLE, packageFolder, { recursive: true });
  await symlink(resolve("."), join(home.path, "etc/node_modules/stormlock"));
});
afterAll(() => home[Symbol.asyncDispose]());

it("passes the published conformance suite by its own test", async () => {
  const { code, stdout } = await home.run(["--test", join(packageFolder, "test")], {
    program: [process.execPath],
    mostMs: 110_000,
  });
  expect(code, stdout).toBe(0);
  expect(stdout).toMatch(/^# pass [2-9][0-9]$/mu);
});

describe.each([
  ["its package's name", "stormlock-journal", "by-name"],
  ["its file's path", "PATH", "by-path"],
])("named by %s", (_how, named, folder) => {
  let file: string;

  beforeAll(async () => {
    const type = named === "PATH" ? join(packageFolder, "index.js") : named;
    await mkdir(join(home.path, "etc", folder));
    file = await home.file(
      `etc/${folder}/config.toml`,
      `[default]\nbackend = "j"\n[backend.j]\ntype = "${type}"\npath = "data/locks.journal"\n`,
    );
  });

  it("is checked without being opened, set up, and found fit", async () => {
    const say = (...argv: readonly string[]) => home.run([...argv, "-c", file]);
    expect(await say("config", "check")).toMatchObject({ code: 0 });
    expect((await say("config", "show")).stdout).toContain(
      `path = "${home.path}/etc/${folder}/data/locks.journal"`,
    );
    const early = await say("backend", "check");
    expect(early).toMatchObject({
      code: 69,
      stdout: expect.stringMatching(
        /^j: unusable: the journal \S+ cannot be opened: ENOENT/u,
      ) as string,
    });
    expect((await say("backend", "setup", "--print")).stdout).toBe(
      `mkdir -p '${home.path}/etc/${folder}/data'\n`,
    );
    expect((await say("backend", "setup")).stdout).toMatch(/^j: ok: made the folder /u);
    expect((await say("backend", "setup")).stdout).toMatch(/^j: ok: there is the folder /u);
    const { code, stdout } = await say("backend", "check");
    expect(code, stdout).toBe(0);
    expect(stdout).toContain("j: ok: released");
  });

  it.each(["alone", "daemon"])("tells a lock's story (%s)", async (way) => {
    const daemon = way === "daemon" ? await home.daemon(["-c", file]) : undefined;
    const where = daemon === undefined ? ["-c", file] : ["--server", daemon.address];
    const say = (...argv: readonly string[]) => home.run([...argv, ...where]);
    const resource = `story/${way}`;

    const taken = await say("acquire", resource, "-t", "30s");
    expect(taken).toMatchObject({ code: 0, stderr: "" });
    const id = taken.stdout.trim();
    expect(await say("is-held", resource, id)).toMatchObject({ code: 0, stderr: "" });
    expect((await say("acquire", resource)).code).toBe(2);
    const waiting = say("acquire", resource, "-w", "50s", "-t", "20s");
    expect(await say("renew", resource, id)).toMatchObject({ code: 0, stderr: "" });
    expect((await say("list")).stdout).toContain(resource);
    expect((await say("release", resource, id)).code).toBe(0);
    expect((await say("renew", resource, id)).code).toBe(3);
    const next = (await waiting).stdout.trim();
    expect(next).toMatch(/^[0-9a-f]{32}$/u);
    expect((await say("release", resource, next)).code).toBe(0);
    const held = await say("hold", resource, "--", "sh", "-c", "echo $STORMLOCK_FENCING_TOKEN");
    expect(held).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d{16}\n$/u) as string });
    expect((await say("current", resource)).code).toBe(1);
    if (daemon === undefined) return;
    daemon.running.kill("SIGTERM");
    expect((await daemon.running.ended).code).toBe(0);
  });
});

describe("a plug-in that is wrong", () => {
  const said = async (type: string, more = "") => {
    const file = await home.file(
      "etc/wrong.toml",
      `[default]\nbackend = "w"\n[backend.w]\ntype = "${type}"\n${more}`,
    );
    const { code, stderr, stdout } = await home.run(["acquire", "r", "-c", file]);
    return { code, stdout, stderr: stderr.replaceAll(file, "FILE") };
  };

  it("is missing: where it was looked for", async () => {
    expect(await said("no-such-plug-in")).toEqual({
      code: 78,
      stdout: "",
      stderr: expect.stringContaining(
        `FILE:4: [backend.w] type: found a type of backend that is not there: "no-such-plug-in"; expected dynamodb, etcd, postgresql, redis, sqlite, or a plug-in's package; there is none in ${home.path}/etc/node_modules and `,
      ) as string,
    });
  });

  it("has a key that its schema does not know: the line and the key", async () => {
    const { code, stderr } = await said("stormlock-journal", 'path = "x"\npaht = "y"\n');
    expect(code).toBe(78);
    expect(stderr).toBe(
      "stormlock: FILE:6: [backend.w] paht: found an unknown key; did you mean path?\n",
    );
  });

  it("opens no backend: its name, and 78", async () => {
    const file = await home.file(
      "etc/half.mjs",
      "export const backend = { open: async () => ({}) };",
    );
    const { code, stderr } = await said(file);
    expect(code).toBe(78);
    expect(stderr).toContain(
      `FILE:3: [backend.w]: the plug-in ${file} opens a backend without a function acquire: that is a mistake in it`,
    );
  });

  it("answers less than it is asked: its name, and no lock", async () => {
    const file = await home.file(
      "etc/mute.mjs",
      `const none = async () => [];
       export const backend = { open: async () => ({
         traits: { type: "mute", place: "", minTtlMs: 1, takeoverSlackMs: 0 },
         acquire: none, renew: none, release: none, current: none, list: none, check: none,
         [Symbol.asyncDispose]: none }) };`,
    );
    const { code, stderr, stdout } = await said(file);
    expect({ code, stdout }).toEqual({ code: 70, stdout: "" });
    expect(stderr).toContain(`the plug-in ${file} gave 0 answers to 1 questions of acquire`);
  });

  it("refuses its settings when it is opened: 78, with the section's place", async () => {
    await home.file(
      "etc/picky.mjs",
      `import { LockError } from "stormlock";
       export const backend = { open: async (name) => {
         throw new LockError("invalid-field", \`size of \${name} must be more than 3\`);
       } };`,
    );
    expect(await said(join(home.path, "etc/picky.mjs"), "size = 1\n")).toMatchObject({
      code: 78,
      stderr: "stormlock: FILE:3: [backend.w]: size of w must be more than 3\n",
    });
  });
});
