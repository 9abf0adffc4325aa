import { chmodSync } from "node:fs";
import { defineConfig } from "rolldown";

// All files lie flat in dist: `new URL("./sqlite-worker.js", import.meta.url)` holds from every one.

const common = {
  platform: "node",
  // These read files that lie beside themselves, so they stay where npm puts them.
  external: [/^node:/, /^etcd3/, "@grpc/reflection", "grpc-health-check", "@photostructure/sqlite"],
};
const target = "node20.19";

// grpc-js asks for it when load reports or channelz are used, which is never here; it is more than
// the rest of grpc-js.
const withoutProtoLoader = {
  name: "without-proto-loader",
  resolveId: (id) => (id === "@grpc/proto-loader" ? "\0nothing" : undefined),
  load: (id) => (id === "\0nothing" ? "export {};" : undefined),
};

// For whoever imports the package, and the thread of the embedded store for both.
const library = defineConfig({
  ...common,
  input: {
    index: "src/index.ts",
    conformance: "src/conformance.ts",
    "sqlite-worker": "src/backends/sqlite/worker.ts",
  },
  transform: { target },
  plugins: [withoutProtoLoader],
  output: { dir: "dist", format: "esm", cleanDir: true, chunkFileNames: "[name]-[hash].js" },
});

// What nearly every command needs lies together: a file more costs a command half a millisecond and
// more, unread code in it far less.
export const commandFiles = {
  groups: [
    {
      name: "commands",
      test: /src.(lock.(address|clock|deadline|duration|errors|lease|limits|policy)|rpc.(asker|code|json-message|messages|reason|unary-client|web.quick-transport)|system-clock)\.ts$|src.(config.|backends.registry)|cmd.stormlock.(acquire|ask|ask-daemon|command|command-line|commands|current|exit-code|is-held|lease-format|lease-id|list|output|program|release|renew|run|usage-error|version)\.ts$/,
    },
    {
      name: "messages",
      test: /src.(gen|rpc.status\.ts)|@bufbuild.protobuf/,
    },
  ],
};

// The program is in scripts of CommonJS, which Node loads sooner than modules
// (docs/decisions/0020-program-in-commonjs.md).
const script = {
  format: "cjs",
  dir: "dist",
  entryFileNames: "[name].cjs",
  chunkFileNames: "[name]-[hash].cjs",
};
const scriptTransform = {
  target,
  // yargs would look for a configuration of its own through it, and is never told to.
  define: { "import.meta.resolve": "undefined" },
};

const program = defineConfig({
  ...common,
  input: { stormlock: "cmd/stormlock/main.ts" },
  transform: scriptTransform,
  plugins: [
    withoutProtoLoader,
    {
      name: "executable",
      writeBundle: () => {
        chmodSync("dist/stormlock.cjs", 0o755);
      },
    },
  ],
  output: { ...script, codeSplitting: commandFiles },
});

// Alone in its file, which loads Node's built-ins and nothing else: it starts with every command
// that runs under a lock, and must be ready at once and stay small.
const guardian = defineConfig({
  ...common,
  input: { guardian: "cmd/stormlock/guardian.ts" },
  transform: scriptTransform,
  output: script,
});

export default [library, program, guardian];
