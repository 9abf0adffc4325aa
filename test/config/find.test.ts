import { chmod, chown, lchown, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/errors.js";
import { findConfig, type Found, type Surroundings } from "../../src/config/find.js";
import { readConfig } from "../../src/config/read.js";

const isRoot = process.getuid?.() === 0;
const STRANGER = 12_345;

let folder: string;
let around: Surroundings;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "stormlock-find-"));
  await mkdir(join(folder, "home"));
  await mkdir(join(folder, "cwd"));
  around = {
    env: {},
    home: join(folder, "home"),
    cwd: join(folder, "cwd"),
    uid: process.getuid?.(),
  };
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function put(path: string, text = "[default]\n"): Promise<string> {
  const whole = join(folder, path);
  await mkdir(join(whole, ".."), { recursive: true });
  await writeFile(whole, text);
  return whole;
}

async function refusal(work: () => unknown): Promise<string> {
  let error: unknown;
  try {
    await work();
  } catch (thrown) {
    error = thrown;
  }
  if (!(error instanceof ConfigError)) throw new Error(`not refused: ${String(error)}`);
  expect(error.isUsage).toBe(false);
  return error.message.replaceAll(folder, "");
}

function pathOf({ file }: Found): string | undefined {
  return file?.path.replace(folder, "");
}

describe("the configuration is", () => {
  test("nothing where there is none, which is no mistake", () => {
    expect(findConfig(undefined, around)).toEqual({ file: undefined, warnings: [] });
  });

  test("the flag's, the variable's, ours, then the older tool's places in their order", async () => {
    const order = [
      "home/.stormlock.cfg",
      "home/.config/stormlock.cfg",
      "cwd/.stormlock.cfg",
      "home/.config/stormlock/config.toml",
    ];
    for (const path of order) {
      await put(path);
      expect(pathOf(findConfig(undefined, around))).toBe(`/${path}`);
    }
    await put("cwd/named.toml");
    const withVariable = { ...around, env: { STORMLOCK_CONFIG: "named.toml" } };
    expect(pathOf(findConfig(undefined, withVariable))).toBe("/cwd/named.toml");
    await put("cwd/flag.ini");
    const found = findConfig("flag.ini", withVariable);
    expect(pathOf(found)).toBe("/cwd/flag.ini");
    expect(found.file?.dialect).toBe("ini");
  });

  test("under $XDG_CONFIG_HOME, when that is absolute", async () => {
    await put("xdg/stormlock.cfg");
    await put("home/.config/stormlock.cfg");
    const found = (value: string): Found =>
      findConfig(undefined, { ...around, env: { XDG_CONFIG_HOME: value } });
    expect(pathOf(found(join(folder, "xdg")))).toBe("/xdg/stormlock.cfg");
    expect(pathOf(found("xdg"))).toBe("/home/.config/stormlock.cfg");
    expect(pathOf(found(""))).toBe("/home/.config/stormlock.cfg");
    await put("xdg/stormlock/config.toml");
    expect(pathOf(found(join(folder, "xdg")))).toBe("/xdg/stormlock/config.toml");
  });

  test("not the variable's when that is empty", () => {
    const found = findConfig(undefined, { ...around, env: { STORMLOCK_CONFIG: "" } });
    expect(found.file).toBeUndefined();
  });

  test.each([
    ["a.toml", "toml"],
    ["a.cfg", "ini"],
    ["A.INI", "ini"],
    ["a.conf", "toml"],
    ["cfg", "toml"],
  ])("%s is read as %s", async (name, dialect) => {
    await put(`cwd/${name}`);
    expect(findConfig(name, around).file?.dialect).toBe(dialect);
  });
});

describe("a file that was named is refused", () => {
  test("when it is missing", async () => {
    expect(await refusal(() => findConfig("nope.toml", around))).toBe(
      "--config: found /cwd/nope.toml: no such file; expected a configuration file",
    );
    const env = { STORMLOCK_CONFIG: "/nope/x.toml" };
    expect(await refusal(() => findConfig(undefined, { ...around, env }))).toBe(
      "STORMLOCK_CONFIG: found /nope/x.toml: no such file; expected a configuration file",
    );
  });

  test("when it is a folder, or a circle of links", async () => {
    expect(await refusal(() => findConfig(".", around))).toBe(
      "--config: found /cwd: a folder; expected a configuration file",
    );
    await symlink("b", join(around.cwd, "a"));
    await symlink("a", join(around.cwd, "b"));
    expect(await refusal(() => findConfig("a", around))).toBe(
      "--config: found /cwd/a: a circle of links; expected a file that can be read",
    );
  });
});

test("a folder where our file should be is refused, not passed over", async () => {
  await mkdir(join(around.home, ".config/stormlock/config.toml"), { recursive: true });
  expect(await refusal(() => findConfig(undefined, around))).toBe(
    "/home/.config/stormlock/config.toml: the file: found a folder; expected a configuration file, or nothing",
  );
});

test.skipIf(!isRoot)("any named file will do, whoever owns it (as root)", async () => {
  const path = await put("cwd/.stormlock.cfg");
  await chown(path, STRANGER, STRANGER);
  const { file, warnings } = findConfig(".stormlock.cfg", around);
  expect(warnings).toEqual([]);
  if (file === undefined) throw new Error("not found");
  expect((await readConfig(file, {})).complaints).toEqual([]);
});

describe.skipIf(!isRoot)("./.stormlock.cfg (as root)", () => {
  const uid = 54_321;

  test.each([
    ["root", 0],
    ["the caller", uid],
  ])("of %s is read", async (_who, owner) => {
    const path = await put("cwd/.stormlock.cfg");
    await chown(path, owner, owner);
    const { file, warnings } = findConfig(undefined, { ...around, uid });
    expect([file?.path, warnings]).toEqual([path, []]);
  });

  test("of anybody else is ignored with a warning, and the search goes on", async () => {
    const path = await put("cwd/.stormlock.cfg", "rubbish");
    await chown(path, STRANGER, STRANGER);
    const own = await put("home/.stormlock.cfg");
    for (const caller of [uid, 0]) {
      const { file, warnings } = findConfig(undefined, { ...around, uid: caller });
      expect(file?.path).toBe(own);
      expect(warnings).toEqual([
        `${path}: ignored, since it belongs to user 12345 and not to you or root; name it with -c to use it`,
      ]);
    }
  });

  test("as a stranger's link to the caller's own file is ignored too, and the other way round", async () => {
    const path = join(around.cwd, ".stormlock.cfg");
    const target = await put("home/real.cfg");
    await chown(target, uid, uid);
    await symlink(target, path);
    await lchown(path, STRANGER, STRANGER);
    expect(findConfig(undefined, { ...around, uid }).file).toBeUndefined();
    await lchown(path, uid, uid);
    expect(findConfig(undefined, { ...around, uid }).file?.path).toBe(path);
    await chown(target, STRANGER, STRANGER);
    expect(findConfig(undefined, { ...around, uid }).file).toBeUndefined();
  });

  test("that changed hands after it was found is refused when it is read", async () => {
    const path = await put("cwd/.stormlock.cfg");
    await chown(path, uid, uid);
    const { file } = findConfig(undefined, { ...around, uid });
    if (file === undefined) throw new Error("not found");
    await chown(path, STRANGER, STRANGER);
    expect(await refusal(() => readConfig(file, {}))).toBe(
      "/cwd/.stormlock.cfg: the file: found a file of user 12345; expected one of your own",
    );
  });

  test("is not asked for its owner where users have no numbers", async () => {
    const path = await put("cwd/.stormlock.cfg");
    await chown(path, STRANGER, STRANGER);
    expect(findConfig(undefined, { ...around, uid: undefined }).file?.path).toBe(path);
  });
});

describe("a file that cannot be read", () => {
  const file = (name: string): { path: string; dialect: "toml" } => ({
    path: join(folder, name),
    dialect: "toml",
  });

  test("is named, with the reason", async () => {
    expect(await refusal(() => readConfig(file("cwd"), {}))).toBe(
      "/cwd: the file: found a folder; expected a file that can be read",
    );
    await writeFile(join(folder, "latin1.toml"), Buffer.from([0x5b, 0xe4, 0x5d]));
    expect(await refusal(() => readConfig(file("latin1.toml"), {}))).toBe(
      "/latin1.toml: the file: found bytes that are not UTF-8; expected UTF-8",
    );
    expect(await refusal(() => readConfig({ path: "/dev/zero", dialect: "toml" }, {}))).toBe(
      "/dev/zero: the file: found more than 1048576 bytes; expected a configuration file",
    );
  });

  test.skipIf(isRoot)(
    "for want of permission is named, not passed over (not as root)",
    async () => {
      const path = await put("home/.stormlock.cfg");
      await chmod(path, 0);
      const { file: found } = findConfig(undefined, around);
      if (found === undefined) throw new Error("not found");
      expect(await refusal(() => readConfig(found, {}))).toBe(
        "/home/.stormlock.cfg: the file: found no permission to read it; expected a file that can be read",
      );
    },
  );
});
