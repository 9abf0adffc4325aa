// src/gen is what buf makes of proto/ now: generated anew elsewhere, and compared.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const elsewhere = mkdtempSync(join(tmpdir(), "stormlock-gen-"));
try {
  const made = spawnSync(
    process.execPath,
    ["node_modules/@bufbuild/buf/bin/buf", "generate", "-o", elsewhere],
    { stdio: "inherit" },
  );
  if (made.status !== 0) process.exit(1);
  const fresh = filesIn(join(elsewhere, "src/gen"));
  const kept = filesIn("src/gen");
  const differing = [...new Set([...fresh.keys(), ...kept.keys()])].filter(
    (name) => fresh.get(name) !== kept.get(name),
  );
  if (fresh.size === 0 || differing.length > 0) {
    console.error(
      `src/gen is not what proto/ says: ${differing.join(", ")}; run "npm run generate"`,
    );
    process.exit(1);
  }
  console.log(`generated code is fresh: ${String(fresh.size)} files`);
} finally {
  rmSync(elsewhere, { recursive: true, force: true });
}

function filesIn(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true });
  return new Map(
    files
      .filter((file) => file.isFile())
      .map((file) => {
        const path = join(file.parentPath ?? file.path, file.name);
        return [path.slice(folder.length + 1), readFileSync(path, "utf8")];
      }),
  );
}
