import { chmodSync } from "node:fs";
import { defineConfig } from "rolldown";

// One ES module per entry, lazy parts in chunks beside them, so that a command reads only what
// it uses. All files lie flat in dist: `new URL("./sqlite-worker.js", import.meta.url)` holds
// from every chunk.
const program = defineConfig({
  input: {
    stormlock: "cmd/stormlock/main.ts",
    index: "src/index.ts",
    conformance: "src/conformance.ts",
    "sqlite-worker": "src/backends/sqlite/worker.ts",
  },
  platform: "node",
  // These read files that lie beside themselves, so they stay where npm puts them.
  external: [/^node:/, /^etcd3/, "@grpc/reflection", "grpc-health-check", "@photostructure/sqlite"],
  transform: { target: "node20.19" },
  output: {
    dir: "dist",
    format: "esm",
    cleanDir: true,
    chunkFileNames: "[name]-[hash].js",
    // What nearly every command needs lies together: a file more costs a command half a
    // millisecond and more, unread code in it far less.
    codeSplitting: {
      groups: [
        {
          name: "words",
          test: /src.(lock.(address|clock|deadline|duration|errors|lease|limits|policy)|rpc.(code|messages|reason)|system-clock)\.ts$/,
        },
        {
          name: "messages",
          test: /src.(gen|rpc.status\.ts)|@bufbuild.protobuf/,
        },
        {
          name: "commands",
          test: /src.(config.|backends.registry|rpc.(asker|json-message|unary-client|web.quick-transport)\.ts)|cmd.stormlock.(acquire|ask|ask-daemon|command|command-line|commands|current|exit-code|is-held|lease-format|list|output|program|release|renew|run|usage-error|version)\.ts$/,
        },
      ],
    },
  },
  plugins: [
    {
      // grpc-js asks for it when load reports or channelz are used, which is never here; it
      // is more than the rest of grpc-js.
      name: "without-proto-loader",
      resolveId: (id) => (id === "@grpc/proto-loader" ? "\0nothing" : undefined),
      load: (id) => (id === "\0nothing" ? "export {};" : undefined),
    },
    {
      name: "executable",
      writeBundle: () => {
        chmodSync("dist/stormlock.js", 0o755);
      },
    },
  ],
});

// Alone in its file, which loads Node's built-ins and nothing else: it starts with every command
// that runs under a lock, and must be ready at once and stay small. Built last, since the other
// build empties the folder.
const guardian = defineConfig({
  input: { guardian: "cmd/stormlock/guardian.ts" },
  platform: "node",
  external: [/^node:/],
  transform: { target: "node20.19" },
  output: { dir: "dist", format: "esm" },
});

export default [program, guardian];
