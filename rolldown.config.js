import { chmodSync } from "node:fs";
import { defineConfig } from "rolldown";

// One ES module per entry, lazy parts in chunks beside them, so that a command reads only what
// it uses. All files lie flat in dist: `new URL("./sqlite-worker.js", import.meta.url)` holds
// from every chunk.
export default defineConfig({
  input: {
    stormlock: "cmd/stormlock/main.ts",
    index: "src/index.ts",
    conformance: "src/conformance.ts",
    "sqlite-worker": "src/backends/sqlite/worker.ts",
  },
  platform: "node",
  // These read files that lie beside themselves, so they stay where npm puts them.
  external: [/^node:/, "@grpc/reflection", "grpc-health-check", "@photostructure/sqlite"],
  transform: { target: "node20.19" },
  output: {
    dir: "dist",
    format: "esm",
    cleanDir: true,
    chunkFileNames: "[name]-[hash].js",
  },
  plugins: [
    {
      name: "executable",
      writeBundle: () => {
        chmodSync("dist/stormlock.js", 0o755);
      },
    },
  ],
});
