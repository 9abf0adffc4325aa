// The Rust example by itself: its form, what its pages show, and what the contract does not play.

import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { isCi } from "../../test/support/ci.js";
import { CliHome } from "../../test/support/cli.js";
import { blocksOf, type Block } from "../../test/support/doc-page.js";
import { freePort } from "../../test/support/free-port.js";
import {
  buildRustActor,
  generateStubs,
  missingRust,
  PLUGINS,
  runCargo,
  RUST_HOME,
} from "./toolchain.js";

// Nothing is cached on a fresh machine.
const WITHIN_MS = 900_000;

const README = join(RUST_HOME, "README.md");
const READER = join(RUST_HOME, "build/reader");
const STUBS = "build/gen/stormlock/v1";

const missing = missingRust();
const isSkipped = missing !== undefined && !isCi;
// rustup's minimal profile has none. In CI its test fails for the lack of it.
const mayFormat = isCi || spawnSync("rustfmt", ["--version"]).status === 0;

const programsOf = (page: string): readonly Block[] =>
  blocksOf(page).filter(({ text }) => text.startsWith("mod held_lock;\n"));

/** A program of somebody who has copied the example file, with the crates that the README names. */
async function reader(main: string): Promise<void> {
  const [crates] = blocksOf(README).filter(({ language }) => language === "toml");
  const manifest = '[package]\nname = "reader"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n';
  await rm(READER, { recursive: true, force: true });
  await mkdir(join(READER, "src"), { recursive: true });
  await writeFile(join(READER, "Cargo.toml"), `${manifest}\n${crates?.text ?? ""}\n`);
  await writeFile(join(READER, "src/main.rs"), `${main}\n`);
  await cp(join(RUST_HOME, "Cargo.lock"), join(READER, "Cargo.lock"));
  await cp(join(RUST_HOME, "src/held_lock.rs"), join(READER, "src/held_lock.rs"));
  await cp(join(RUST_HOME, STUBS), join(READER, STUBS), { recursive: true });
}

describe(`the Rust example${missing === undefined ? "" : ` (needs: ${missing})`}`, () => {
  const test = isSkipped ? it.skip : it;

  beforeAll(async () => {
    if (isSkipped) return;
    if (missing !== undefined) throw new Error(missing);
    await buildRustActor();
  }, WITHIN_MS);

  test(
    "makes its stubs by the template, with the plugins that its README names",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "stormlock-rust-stubs-"));
      try {
        await generateStubs(folder);
        const made = join(folder, "clients/rust", STUBS);
        const names = ["stormlock.v1.rs", "stormlock.v1.tonic.rs"];
        expect((await readdir(made)).sort()).toEqual(names);
        for (const name of names)
          expect(await readFile(join(RUST_HOME, STUBS, name), "utf8")).toBe(
            await readFile(join(made, name), "utf8"),
          );
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
      const shown = await readFile(README, "utf8");
      expect(shown).toContain(`cargo install --locked ${PLUGINS.join(" ")}\n`);
    },
    WITHIN_MS,
  );

  test(
    "holds a lock by ten lines at the most, with the crates that its README names",
    async () => {
      const [shortest] = programsOf(README);
      expect(shortest?.text.split("\n").length).toBeLessThanOrEqual(10);
      await using home = await CliHome.make();
      const { address } = await home.daemon([], { mostMs: WITHIN_MS });
      for (const { text, line } of [...programsOf(README), ...programsOf("docs/clients.md")]) {
        expect(text, `line ${String(line)}`).toContain('"127.0.0.1:7420"');
        await reader(text.replace("127.0.0.1:7420", address));
        const printed = await runCargo(["run", "--quiet", "--offline"], {}, READER);
        expect(printed, `line ${String(line)}`).toMatch(/^deploying with token \d+\n$/u);
      }
    },
    WITHIN_MS,
  );

  test(
    "passes its own tests, against a daemon",
    async () => {
      await using home = await CliHome.make();
      const socket = `unix:${join(home.path, "s.sock")}`;
      const listen = ["--listen", "127.0.0.1:0", "--listen", socket];
      const { address } = await home.daemon(listen, { mostMs: WITHIN_MS });
      const printed = await runCargo(["test", "--quiet", "--locked", "--test", "daemon"], {
        STORMLOCK_TEST_SERVER: address,
        STORMLOCK_TEST_SOCKET: socket,
        STORMLOCK_TEST_NOBODY: `127.0.0.1:${String(await freePort())}`,
      });
      expect(printed).toMatch(/test result: ok\. 6 passed; 0 failed; 0 ignored/u);
    },
    WITHIN_MS,
  );

  (mayFormat ? test : it.skip)(
    "has the form that rustfmt gives it",
    async () => {
      await runCargo(["fmt", "--check"]);
      await reader(programsOf(README).at(-1)?.text ?? "");
      await runCargo(["fmt", "--check"], {}, READER);
    },
    WITHIN_MS,
  );
});
