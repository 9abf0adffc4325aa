import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { rolldown, type OutputChunk } from "rolldown";
import ts from "typescript";
import { expect, test } from "vitest";

test.skipIf(process.getuid?.() !== 0)(
  "a user without a name is called by the number (as root)",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "stormlock-user-"));
    try {
      await chmod(folder, 0o755);
      const source = await readFile("src/config/builtin.ts", "utf8");
      const { outputText } = ts.transpileModule(source, {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
      });
      const script = join(folder, "builtin.mjs");
      await writeFile(script, `${outputText}\nprocess.stdout.write(builtInPrincipal());\n`);
      const { stdout, stderr } = spawnSync(process.execPath, [script], {
        uid: 54_321,
        gid: 54_321,
        cwd: folder,
        encoding: "utf8",
      });
      expect([stdout, stderr]).toEqual([`54321@${hostname()}`, ""]);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test("without a file no library is loaded: those come when there is something to read", async () => {
  const bundle = await rolldown({ input: "src/config/index.ts", platform: "node" });
  const { output } = await bundle.generate({ format: "esm" });
  await bundle.close();
  const chunks = output.filter((file): file is OutputChunk => file.type === "chunk");
  const librariesFrom = (
    start: readonly string[],
    follow: (chunk: OutputChunk) => string[],
  ): string[] => {
    const seen = new Set<string>(start);
    for (const name of seen) {
      const chunk = chunks.find(({ fileName }) => fileName === name);
      for (const next of chunk === undefined ? [] : follow(chunk)) seen.add(next);
    }
    const modules = chunks.filter(({ fileName }) => seen.has(fileName)).flatMap((c) => c.moduleIds);
    const names = modules.map((id) => /node_modules\/([^/]+)/u.exec(id)?.[1] ?? "");
    return Array.from(new Set(names)).filter((name) => name !== "");
  };
  const entry = chunks.filter(({ isEntry }) => isEntry).map(({ fileName }) => fileName);
  expect(librariesFrom(entry, (chunk) => chunk.imports)).toEqual([]);
  // Not even then is it zod: whoever hands in schemas has loaded it.
  const all = librariesFrom(entry, (chunk) => [...chunk.imports, ...chunk.dynamicImports]);
  expect(all).toEqual(["smol-toml"]);
});
