// `stormlock copy`: the program, handed on.

import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CliHome } from "../support/cli.js";

describe("stormlock copy", () => {
  it("makes a file that runs as the program does, in the place of what was there", async () => {
    await using home = await CliHome.make();
    const folder = join(home.path, "it's here");
    mkdirSync(folder);
    const file = join(folder, "stormlock");
    writeFileSync(file, "something older", { mode: 0o600 });
    expect(await home.run(["copy", file])).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(readdirSync(folder)).toEqual(["stormlock"]);
    expect(statSync(file).mode & 0o777).toBe(0o755);
    const [own, copied] = [
      await home.run(["--version"]),
      await home.run(["--version"], { program: [file] }),
    ];
    expect(copied).toEqual(own);
    const words = [
      "hold",
      "x y",
      "--",
      "sh",
      "-c",
      'echo "$0 $STORMLOCK_RESOURCE"; exit 5',
      "a  b",
    ];
    const held = await home.run(words, { program: [file] });
    expect(held).toMatchObject({ code: 5, stdout: "a  b x y\n" });
  });

  it("says what is wrong with a place where it cannot be", async () => {
    await using home = await CliHome.make();
    const nowhere = await home.run(["copy", "none/stormlock"]);
    expect(nowhere.code).toBe(64);
    expect(nowhere.stderr).toContain(
      "none/stormlock cannot be written: its directory does not exist",
    );
    const taken = await home.run(["copy", home.path]);
    expect(taken.code).toBe(64);
    expect(taken.stderr).toContain("it is a directory; name a file in it");
    expect((await home.run(["copy"])).code).toBe(64);
  });
});
