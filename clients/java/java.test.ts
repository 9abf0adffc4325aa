// The example for Java by itself: its form, and whatever its pages show, run against daemons.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { Authority } from "../../test/rpc/support/certificates.js";
import { isCi } from "../../test/support/ci.js";
import { CliHome } from "../../test/support/cli.js";
import { blocksOf } from "../../test/support/doc-page.js";
import {
  checkJavaForm,
  compile,
  HELD_LOCK,
  JAVA_ACTOR,
  JAVA_HOME,
  missingJava,
  prepareJava,
  runJava,
} from "./toolchain.js";

const WITHIN_MS = 300_000;
const PREPARED_WITHIN_MS = 600_000;
const MOST_LINES = 10;

const missing = missingJava();
const test = missing === undefined || isCi ? it : it.skip;
const named = (name: string): string =>
  missing === undefined ? name : `${name} (needs: ${missing})`;

const shown = blocksOf(join(JAVA_HOME, "README.md"))
  .filter(({ language }) => language === "java")
  .map(({ text }) => text);
const [tenLines = "", withTls = ""] = shown;

describe("the example for Java", () => {
  beforeAll(async () => {
    if (missing === undefined) await prepareJava();
    else if (isCi) throw new Error(missing);
  }, PREPARED_WITHIN_MS);

  test(
    named("has the form that google-java-format gives it, and no warning"),
    async () => {
      await using folder = await Folder.make();
      const programs = await Promise.all(
        shown.map((text) => folder.file(`${nameOf(text)}.java`, `${text}\n`)),
      );
      await checkJavaForm([HELD_LOCK, JAVA_ACTOR, ...programs]);
      await compile(HELD_LOCK, folder.path);
    },
    WITHIN_MS,
  );

  test(
    named("holds a lock by ten lines of a reader's own"),
    async () => {
      expect(tenLines.split("\n").length).toBeLessThanOrEqual(MOST_LINES);
      await using home = await CliHome.make();
      const { address } = await home.daemon([], { mostMs: WITHIN_MS });
      expect(tenLines).toContain('"127.0.0.1:7420"');
      const printed = await play(tenLines.replace("127.0.0.1:7420", address));
      expect(printed).toMatch(/^deploying with token \d+\n$/u);
      // And it has been given back.
      const current = await home.run(["current", "deploy", "--server", address]);
      expect(current.stderr).toContain("nobody holds deploy");
    },
    WITHIN_MS,
  );

  test(
    named("speaks TLS with a certificate of its own, to the daemon that is there"),
    async () => {
      await using home = await CliHome.make();
      using authority = new Authority();
      await home.file("ca.pem", authority.cert.toString());
      for (const [name, alternative] of [
        ["daemon", "IP:127.0.0.1"],
        ["ann", "URI:spiffe://example/ann"],
      ] as const) {
        const { cert, key } = authority.issue(`/CN=${name}`, alternative);
        await home.file(`${name}.pem`, cert.toString());
        await home.file(`${name}.key`, key.toString());
      }
      const secured = ["--cert", "daemon.pem", "--key", "daemon.key", "--ca", "ca.pem"];
      const { address } = await home.daemon(secured, { mostMs: WITHIN_MS });
      const program = withTls
        .replace(/File\("/gu, `File("${home.path}/`)
        .replace("127.0.0.1:7421", address) // Nobody listens on the first.
        .replace("127.0.0.1:7420", "127.0.0.1:9");
      expect(await play(program)).toBe("working: true\nheld to the end: true\n");
    },
    WITHIN_MS,
  );

  it("is shown on docs/clients.md as in its README", () => {
    const blocks = blocksOf("docs/clients.md").map(({ text }) => text);
    expect(blocks).toContain(tenLines);
  });
});

/** Compiles a program and runs it, with the example on its class path. */
async function play(text: string): Promise<string> {
  await using folder = await Folder.make();
  await compile(await folder.file(`${nameOf(text)}.java`, text), folder.path);
  return await runJava([nameOf(text)], folder.path);
}

const nameOf = (text: string): string => /^class (\w+)/mu.exec(text)?.[1] ?? "";

class Folder implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<Folder> {
    return new Folder(await mkdtemp(join(tmpdir(), "stormlock-java-")));
  }

  async file(name: string, text: string): Promise<string> {
    await writeFile(join(this.path, name), text);
    return join(this.path, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
