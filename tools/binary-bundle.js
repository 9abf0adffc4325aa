// The parts of the single file: each one script of CommonJS, with everything in it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { rolldown } from "rolldown";

// Packages that read .proto files which lie beside them: here these lie within, under this name.
const WITHIN = "/stormlock";

/**
 * Bundles some entries into scripts, each in one or, where `codeSplitting` says so, in several.
 * @returns {Promise<Map<string, string>>} the texts by their names, which end in .js
 */
export async function bundle(input, codeSplitting) {
  const bundled = await rolldown({
    input,
    platform: "node",
    external: [/^node:/, "pg-native", "@photostructure/sqlite"],
    transform: {
      target: "node24",
      // yargs looks for translations beside itself, and does without.
      define: { "import.meta.url": `"file://${WITHIN}/"`, "import.meta.resolve": "undefined" },
    },
    plugins: [embedded(), protoFiles()],
    logLevel: "warn",
    onLog: (level, log, handle) => {
      if (level === "warn") throw new Error(`the bundle: ${log.message}`);
      handle(level, log);
    },
  });
  const { output } = await bundled.generate({
    format: "cjs",
    codeSplitting,
    comments: false,
    entryFileNames: "[name].js",
    chunkFileNames: "[name]-[hash].js",
    minify: { mangle: false, compress: false, codegen: { removeWhitespace: true } },
  });
  await bundled.close();
  refuseCircles(new Map(output.map(({ fileName, imports }) => [fileName, imports])));
  return new Map(output.map(({ fileName, code }) => [fileName, ascii(code)]));
}

// Scripts that need each other find each other half made, where modules would not.
function refuseCircles(importsOf) {
  const done = new Set();
  const visit = (name, path) => {
    if (path.includes(name))
      throw new Error(`the bundle goes round: ${[...path, name].join(" -> ")}`);
    if (done.has(name)) return;
    for (const each of importsOf.get(name) ?? []) visit(each, [...path, name]);
    done.add(name);
  };
  for (const name of importsOf.keys()) visit(name, []);
}

/** A script that evaluates to the module, as a function of exports, require and module. */
export function asFunction(code) {
  return `(function (exports, require, module) {${code}\n})`;
}

// What works otherwise in a single file has a second form, beside the first.
function embedded() {
  return {
    name: "embedded",
    resolveId: {
      filter: { id: /^\.{1,2}\/.*\.js$/ },
      handler(id, importer) {
        if (importer === undefined || importer.includes("node_modules")) return undefined;
        const file = resolve(dirname(importer), id.replace(/\.js$/, ".embedded.ts"));
        return existsSync(file) ? file : undefined;
      },
    },
  };
}

function protoFiles() {
  const folders = ["etcd3/proto", "grpc-health-check/proto", "@grpc/reflection/build/proto"];
  const within = (path) =>
    `${WITHIN}/${relative(resolve("node_modules"), path).split(sep).join("/")}`;
  const readers = [
    ["etcd3/lib/connection-pool.js", "__dirname"],
    ["grpc-health-check/build/src/health.js", "__dirname"],
    ["@grpc/reflection/build/src/implementations/reflection-v1.js", "__dirname"],
    ["@grpc/reflection/build/src/implementations/reflection-v1alpha.js", "__dirname"],
  ];
  return {
    name: "proto-files",
    transform: {
      filter: { id: /node_modules/ },
      handler(code, id) {
        const name = relative(resolve("node_modules"), id).split(sep).join("/");
        if (readers.some(([file]) => file === name)) {
          if (!code.includes("__dirname")) throw new Error(`${name} reads no files any more`);
          return code.replaceAll("__dirname", JSON.stringify(within(dirname(id))));
        }
        // What loads them goes through these two.
        if (/@grpc\/proto-loader\/build\/src\/util\.js$/.test(name))
          return replaced(code, name, 'require("fs")', "require('\0protos')");
        if (name.endsWith("protobufjs/src/util/fs.js"))
          return "module.exports = require('\0protos')";
        return undefined;
      },
    },
    // grpc-js asks for the loader when load reports or channelz are used, which is never here.
    resolveId: (id, importer) =>
      id === "@grpc/proto-loader" && importer?.includes("grpc-js/") === true
        ? "\0nothing"
        : id === "\0protos"
          ? id
          : undefined,
    load(id) {
      if (id === "\0nothing") return "export {};";
      if (id !== "\0protos") return undefined;
      const texts = Object.fromEntries(
        folders.flatMap((folder) =>
          protosIn(folder).map((path) => [within(path), readFileSync(path, "utf8")]),
        ),
      );
      return `const texts = ${JSON.stringify(texts)};
        const textOf = (path) => {
          if (Object.hasOwn(texts, path)) return texts[path];
          throw Object.assign(new Error("the single file has no " + path), { code: "ENOENT" });
        };
        module.exports = {
          constants: { R_OK: 4 },
          accessSync: (path) => void textOf(path),
          readFileSync: textOf,
          readFile: (path, _, done) => done(new Error("read " + path + " at once")),
        };`;
    },
  };
}

function protosIn(folder) {
  const root = resolve("node_modules", folder);
  return readdirSync(root, { recursive: true })
    .map((path) => join(root, path))
    .filter((path) => path.endsWith(".proto"));
}

function replaced(code, name, wanted, by) {
  if (!code.includes(wanted)) throw new Error(`${name} has no ${wanted} any more`);
  return code.replaceAll(wanted, by);
}

// A text of ASCII alone takes half the memory, and is read without being decoded. What is not ASCII
// stands in strings and expressions, where an escape means the same.
function ascii(code) {
  return code.replaceAll(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
