// A lock's whole life by hand, told in every way in which it can be configured: the words and
// the exit codes are the same, with a daemon and without one.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CliHome, type DaemonProcess, type Ended } from "../support/cli.js";

type Ways = Readonly<Record<string, (home: CliHome, daemon: DaemonProcess) => Promise<string[]>>>;

/** How to write what a command needs to be told; answers with flags. */
const WAYS: Ways = {
  "without a daemon, with nothing configured": () => Promise.resolve([]),
  "without a daemon, from TOML": async (home) => [
    "-c",
    await home.file(
      "here.toml",
      `[default]\nbackend = "here"\n[backend.here]\ntype = "sqlite"\npath = "here.db"\n`,
    ),
  ],
  "without a daemon, from the older tool's INI file": async (home) => {
    await home.file(
      ".stormlock.cfg",
      `[default]\nttl = 1 days\nbackend = sqlite\n[backend.sqlite]\npath = ${home.path}/ini.db\n`,
    );
    return [];
  },
  "with a daemon, by flag": (_home, { address }) => Promise.resolve(["--server", address]),
  "with a daemon, from TOML in its place": async (home, { address }) => {
    await mkdir(join(home.path, "config/stormlock"), { recursive: true });
    await home.file("config/stormlock/config.toml", `[default]\nserver = "${address}"\n`);
    return [];
  },
  "with a daemon, from the older tool's INI file": async (home, { address }) => {
    await home.file(".stormlock.cfg", `[default]\nttl=4 seconds\nserver = ${address}\n`);
    return [];
  },
};

const HEX = /^[0-9a-f]{32}\n$/u;

/** A home, a daemon in it, and commands that are told of one or the other. */
class Stage implements AsyncDisposable {
  readonly #home: CliHome;
  readonly #flags: readonly string[];

  private constructor(home: CliHome, flags: readonly string[]) {
    this.#home = home;
    this.#flags = flags;
  }

  static async set(configure: (typeof WAYS)[string] | undefined): Promise<Stage> {
    const home = await CliHome.make();
    const store = await home.file(
      "daemon.toml",
      `[default]\nbackend = "sqlite"\n[backend.sqlite]\npath = "daemon.db"\n`,
    );
    const daemon = await home.daemon(["-c", store]);
    return new Stage(home, (await configure?.(home, daemon)) ?? []);
  }

  stormlock(...argv: string[]): Promise<Ended> {
    return this.#home.run([...argv.slice(0, 1), ...this.#flags, ...argv.slice(1)]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#home[Symbol.asyncDispose]();
  }
}

let stage: Stage;
const stormlock = (...argv: string[]): Promise<Ended> => stage.stormlock(...argv);

describe.each(Object.entries(WAYS))("a lock by hand, %s", (_name, configure) => {
  beforeAll(async () => {
    stage = await Stage.set(configure);
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  it("is taken, shown, refused, renewed, taken over and given back", async () => {
    const taken = await stormlock("acquire", "deploy", "--ttl", "4s", "--principal", "ann");
    expect(taken).toMatchObject({ code: 0, stdout: expect.stringMatching(HEX) as string });
    const id = taken.stdout.trim();

    // Together, since four seconds are not long. Renewed by its own ttl; another id is nobody's.
    const [held, refused, renewed, stranger, stolen] = await Promise.all([
      stormlock("is-held", "deploy", id),
      stormlock("acquire", "deploy", "--principal", "bob"),
      stormlock("renew", "deploy", id),
      stormlock("is-held", "deploy", "somebody-else"),
      stormlock("renew", "deploy", "somebody-else"),
    ]);
    expect(held).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(/^stormlock: deploy is held by ann since 20[-0-9T:.]+Z\n$/u);
    expect(renewed).toMatchObject({ code: 0, stdout: "" });
    expect(stranger.code).toBe(1);
    expect(stolen.code).toBe(3);

    // It ends by itself, and is taken over.
    const over = await stormlock("acquire", "deploy", "-w", "20s", "-t", "1 minute");
    expect(over).toMatchObject({ code: 0, stdout: expect.stringMatching(HEX) as string });
    const next = over.stdout.trim();
    expect(next).not.toBe(id);

    const lost = await stormlock("renew", "deploy", id);
    expect(lost).toMatchObject({ code: 3, stdout: "" });
    expect(lost.stderr).toContain("does not hold deploy");
    expect((await stormlock("is-held", "deploy", id)).code).toBe(1);
    // A late release of the old lease takes nothing from the new one.
    expect(await stormlock("release", "deploy", id)).toMatchObject({ code: 0, stdout: "" });
    expect((await stormlock("is-held", "deploy", next)).code).toBe(0);

    expect(await stormlock("release", "deploy", next)).toMatchObject({ code: 0, stdout: "" });
    const free = await stormlock("current", "deploy");
    expect(free).toMatchObject({ code: 1, stdout: "" });
    expect(free.stderr).toBe("stormlock: nobody holds deploy\n");
    expect((await stormlock("release", "deploy", next)).code).toBe(0);
  });
});

describe.each(["without a daemon, with nothing configured", "with a daemon, by flag"])(
  "a lock's words, %s",
  (name) => {
    beforeAll(async () => {
      stage = await Stage.set(WAYS[name]);
    });
    afterAll(() => stage[Symbol.asyncDispose]());

    it("is shown in every format", async () => {
      const argv = ["acquire", "shown", "-t", "1m", "--principal", "ann", "--reason", "why not"];
      const id = (await stormlock(...argv, "--label", "run=17")).stdout.trim();
      const show = async (...format: string[]): Promise<string> => {
        const { code, stdout } = await stormlock("current", "shown", ...format);
        expect(code).toBe(0);
        return stdout;
      };
      expect(await show("--id-only")).toBe(`${id}\n`);
      expect(await show("-f", "id")).toBe(`${id}\n`);
      const json = JSON.parse(await show("-f", "json")) as Record<string, unknown>;
      expect(json).toMatchObject({
        id,
        principal: "ann",
        resource: "shown",
        ttl: "1m",
        reason: "why not",
        labels: { run: "17" },
      });
      expect(json["token"]).toMatch(/^[1-9][0-9]*$/u);
      const created = String(json["created"]);
      expect(created).toMatch(/^20[0-9-]{8}T[0-9:]{8}\.[0-9]{3}Z$/u);
      expect(await show("-f", "oneline")).toBe(`ann\t${created}\t${id}\n`);
      expect(await show("-f", "lines")).toBe(`ann\n${created}\n${id}\n`);
      expect((await show("-f", "cols")).split("\n")[1]?.trimEnd().split(/ {2,}/u)).toEqual([
        "ann",
        created,
        id,
      ]);
      const rows = (await show()).split("\n");
      expect(rows.slice(0, 3)).toEqual(["Principal: ann", `Created: ${created}`, `Id: ${id}`]);
      expect(rows).toContain("Reason: why not");

      const listed = await stormlock("list", "show");
      expect(listed.stdout).toMatch(
        new RegExp(`^shown\tann\t${created}\t[^\t]+\t[0-9]+\twhy not\n$`, "u"),
      );
      expect((await stormlock("list", "nothing/")).stdout).toBe("");
    });

    it("answers every question in JSON too, ids kept from whoever does not have them", async () => {
      const parse = ({ stdout }: Ended): unknown => JSON.parse(stdout);
      const taken = parse(await stormlock("acquire", "j", "-t", "1m", "--json")) as { id: string };
      const { id } = taken;
      expect(id).toMatch(/^[0-9a-f]{32}$/u);
      expect(parse(await stormlock("renew", "j", id, "--json"))).toMatchObject({ id, ttl: "1m" });
      expect(parse(await stormlock("is-held", "j", id, "--json"))).toEqual({
        resource: "j",
        held: true,
      });
      expect(parse(await stormlock("is-held", "j", "no", "--json"))).toEqual({
        resource: "j",
        held: false,
      });
      expect(parse(await stormlock("list", "j", "--json"))).toMatchObject([{ resource: "j" }]);
      expect((await stormlock("list", "j", "--json")).stdout).not.toContain(id);
      expect(parse(await stormlock("list", "nothing/", "--json"))).toEqual([]);

      const refused = await stormlock("acquire", "j", "--json");
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(JSON.parse(refused.stderr)).toMatchObject({
        error: "lock-held",
        resource: "j",
        holder: { resource: "j" },
      });
      expect(refused.stderr).not.toContain(id);

      const release = await stormlock("release", "j", id, "--json");
      expect(parse(release)).toEqual({ resource: "j", outcome: "released" });
      expect(parse(await stormlock("release", "j", id, "--json"))).toEqual({
        resource: "j",
        outcome: "not-held",
      });
      const free = await stormlock("current", "j", "--json");
      expect(free).toMatchObject({ code: 1, stdout: "" });
      expect(JSON.parse(free.stderr)).toMatchObject({ error: "not-held" });
      expect(JSON.parse((await stormlock("renew", "j", id, "--json")).stderr)).toMatchObject({
        error: "lease-lost",
      });
    });

    it("says a plain no quietly when asked to be quiet", async () => {
      await stormlock("acquire", "q", "-t", "1m");
      const ended = await Promise.all([
        stormlock("acquire", "q", "-q"),
        stormlock("renew", "q", "other", "-q"),
        stormlock("current", "nobody", "-q"),
      ]);
      expect(ended.map(({ code }) => code)).toEqual([2, 3, 1]);
      expect(ended.map(({ stdout, stderr }) => stdout + stderr)).toEqual(["", "", ""]);
    });
  },
);
