// The Go library by itself: what Go's own tools say of it, its tests against a daemon, its stubs.

import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { Authority } from "../../test/rpc/support/certificates.js";
import { isCi } from "../../test/support/ci.js";
import { CliHome } from "../../test/support/cli.js";
import { blocksOf } from "../../test/support/doc-page.js";
import { missingGo, runGo } from "./toolchain.js";

// Nothing is cached on a fresh machine.
const WITHIN_MS = 900_000;

const PAIRS = [
  ["daemon", "/CN=localhost", "IP:127.0.0.1"],
  ["ann", "/CN=ann", "URI:spiffe://example/ann"],
] as const;

const missing = missingGo();
const isSkipped = missing !== undefined && !isCi;

describe(`the Go library${missing === undefined ? "" : ` (needs: ${missing})`}`, () => {
  const test = isSkipped ? it.skip : it;

  test(
    "is formatted, and go vet has nothing to say",
    async () => {
      expect(await runGo(["-l", ".", "../contract/actors/go.go"], {}, "gofmt")).toBe("");
      await runGo(["vet", "./..."]);
      await runGo(["vet", "../contract/actors/go.go"]);
    },
    WITHIN_MS,
  );

  test(
    "passes its own tests, without a data race, against a daemon",
    async () => {
      await using home = await CliHome.make();
      using authority = new Authority();
      const { address } = await home.daemon([], { mostMs: WITHIN_MS });
      await home.file("ca.pem", authority.cert.toString());
      for (const [name, subject, alternative] of PAIRS) {
        const { cert, key } = authority.issue(subject, alternative);
        await home.file(`${name}.pem`, cert.toString());
        await home.file(`${name}.key`, key.toString());
      }
      const secured = ["--cert", "daemon.pem", "--key", "daemon.key", "--ca", "ca.pem"];
      const secure = await home.daemon(secured, { mostMs: WITHIN_MS });
      const printed = await runGo(["test", "-race", "-count=1", "-timeout=5m", "-v", "./..."], {
        STORMLOCK_TEST_SERVER: address,
        STORMLOCK_TEST_TLS_SERVER: secure.address,
        STORMLOCK_TEST_CERTIFICATES: home.path,
      });
      expect(printed).not.toContain("--- SKIP");
      expect(printed).toContain("--- PASS: TestAFreeLockIsGrantedOnceAndReleased");
    },
    WITHIN_MS,
  );

  test(
    "holds a lock by the program that docs/clients.md shows",
    async () => {
      await using home = await CliHome.make();
      const { address } = await home.daemon([], { mostMs: WITHIN_MS });
      const isGo = ({ text }: { readonly text: string }): boolean =>
        text.startsWith("package main");
      const [shown] = blocksOf(resolve("docs/clients.md")).filter(isGo);
      expect(shown?.text).toContain('"127.0.0.1:7420"');
      const file = join(home.path, "main.go");
      await writeFile(file, `${shown?.text.replace("127.0.0.1:7420", address) ?? ""}\n`);
      expect(await runGo(["run", file])).toMatch(/^deploying with token \d+ <nil>\n$/u);
      expect(await runGo(["-l", file], {}, "gofmt")).toBe("");
    },
    WITHIN_MS,
  );

  test(
    "has the stubs that proto/ makes now",
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "stormlock-go-stubs-"));
      try {
        const buf = resolve("node_modules/@bufbuild/buf/bin/buf");
        const words = ["generate", "--template", "clients/go/buf.gen.yaml", "-o", folder];
        await promisify(execFile)(process.execPath, [buf, ...words], { timeout: WITHIN_MS });
        const fresh = await filesIn(join(folder, "clients/go/stormlockv1"));
        expect(fresh.size).toBe(2);
        expect(await filesIn(resolve("clients/go/stormlockv1"))).toEqual(fresh);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    WITHIN_MS,
  );
});

async function filesIn(folder: string): Promise<ReadonlyMap<string, string>> {
  const names = await readdir(folder);
  const read = async (name: string): Promise<[string, string]> => [
    name,
    await readFile(join(folder, name), "utf8"),
  ];
  return new Map(await Promise.all(names.sort().map(read)));
}
