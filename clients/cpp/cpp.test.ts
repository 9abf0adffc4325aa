// The C++ example by itself: what its README shows is built as it says, and run.

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { isCi } from "../../test/support/ci.js";
import { HoldHome } from "../../test/support/hold-cli.js";
import { blocksOf } from "../../test/support/doc-page.js";
import { Actor } from "../contract/actor.js";
import { buildCpp, buildProgram, CPP_HOME, cppActor, missingCpp } from "./toolchain.js";

const PREPARED_WITHIN_MS = 600_000;
const WITHIN_MS = 500_000;
const MOST_LINES = 10;

const missing = missingCpp();
const isSkipped = missing !== undefined && !isCi;
const readme = join(CPP_HOME, "README.md");

describe(`the C++ example${missing === undefined ? "" : ` (needs: ${missing})`}`, () => {
  const test = isSkipped ? it.skip : it;
  beforeAll(async () => {
    if (missing === undefined) await buildCpp();
    else if (!isSkipped) throw new Error(missing);
  }, PREPARED_WITHIN_MS);

  test(
    "holds a lock by at most ten lines of the reader's own, which its README shows",
    async () => {
      const [shown = ""] = blocksOf(readme)
        .filter(({ language }) => language === "cpp")
        .map(({ text }) => text);
      expect(shown.split("\n").filter((line) => line.trim() !== "").length).toBeLessThanOrEqual(
        MOST_LINES,
      );
      await using home = await HoldHome.make();
      const { address } = await home.daemon();
      expect(shown).toContain('"127.0.0.1:7420"');
      const text = shown.replace("127.0.0.1:7420", address);
      const program = await buildProgram(await home.cli.file("main.cc", text));
      // A proxy that is not there: no way to this machine leads through one.
      const env = { ...process.env, http_proxy: "http://127.0.0.1:1", no_proxy: "" };
      const { stdout } = await promisify(execFile)(program, { env, timeout: WITHIN_MS });
      expect(stdout).toMatch(/^ours, with token \d+\n$/u);
    },
    WITHIN_MS,
  );

  test(
    "holds a lock over a unix socket",
    async () => {
      await using home = await HoldHome.make();
      const listen = ["--listen", `unix:${join(home.cli.path, "daemon.sock")}`];
      const { address } = await home.cli.daemon(["-c", home.config, ...listen], {
        mostMs: WITHIN_MS,
      });
      expect(address).toMatch(/^unix:/u);
      await using actor = new Actor([cppActor], [address], "ann");
      actor.hold({ resource: "r", ttlMs: 30_000, waitMs: 0 });
      expect(await actor.granted("r")).toBeGreaterThan(0n);
      actor.release("r");
      await actor.until("r", "it is released", ({ isReleased }) => isReleased);
    },
    WITHIN_MS,
  );

  it("is shown on docs/clients.md as in its README", () => {
    const [shown] = blocksOf(readme).filter(({ language }) => language === "cpp");
    expect(blocksOf("docs/clients.md").map(({ text }) => text)).toContain(shown?.text);
  });

  test("is built by the commands that its README shows", async () => {
    const [commands = ""] = blocksOf(readme)
      .filter(({ text }) => text.includes("apt install"))
      .map(({ text }) => text);
    const installer = await readFile("tools/install-for-tests.js", "utf8");
    const [, packages = ""] = /apt install (.*)/u.exec(commands) ?? [];
    for (const name of packages.split(" ")) expect(installer).toContain(`{ name: "${name}",`);
    expect(commands).toContain("buf generate --template clients/cpp/buf.gen.yaml\n");
    expect(commands).toContain("cmake -S clients/cpp -B clients/cpp/build/make -DPROGRAM=");
    expect(commands).toContain("cmake --build clients/cpp/build/make --target program");
  });
});
