import { defineConfig } from "rolldown";

// The harness of `npm run trials` and the process that watches for it. Packages stay outside,
// but for the helpers that the compiler puts in.
export default defineConfig({
  input: { main: "trials/main.ts", witness: "trials/witness.ts" },
  platform: "node",
  external: (id, importer) => importer !== undefined && /^(?!@oxc-project)[@a-z]/.test(id),
  transform: { target: "node20.19" },
  output: { dir: "build/trials/program", format: "esm", cleanDir: true },
});
