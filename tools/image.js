// Builds the container image: what deploy/container/Containerfile copies is laid out, and buildah makes
// of it build/stormlock-image-linux-x64.tar, an archive that every engine and registry takes.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname } from "node:path";

const PROGRAM = "build/stormlock-linux-x64";
const FOLDER = "build/image";
const RESULT = "build/stormlock-image-linux-x64.tar";
const USER = 65_532;

const { version } = JSON.parse(readFileSync("package.json", "utf8"));
rmSync(FOLDER, { recursive: true, force: true });

// Places that an engine mounts something on, in an image that is read-only.
for (const path of ["proc", "sys", "dev", "tmp", "etc/stormlock"])
  mkdirSync(`${FOLDER}/context/root/${path}`, { recursive: true });
mkdirSync(`${FOLDER}/context/state`);

put(PROGRAM, "/stormlock", 0o755);
for (const path of librariesOf(PROGRAM)) put(path, path, 0o755);
// That users and hosts are looked up as on any machine.
write("/etc/passwd", `stormlock:x:${USER}:${USER}::/var/lib/stormlock:/nowhere\n`);
write("/etc/group", `stormlock:x:${USER}:\n`);
write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");

const storage = [
  "--root",
  `${FOLDER}/storage`,
  "--runroot",
  `${FOLDER}/run`,
  "--storage-driver",
  "vfs",
];
const name = `stormlock:${version}`;
buildah(
  ...["bud", "--isolation", "chroot", "--format", "oci", "--timestamp", "0"],
  ...["--build-arg", `VERSION=${version}`, "--tag", name],
  ...["--file", "deploy/container/Containerfile", `${FOLDER}/context`],
);
buildah("push", name, `oci-archive:${FOLDER}/image.tar:${name}`);
renameSync(`${FOLDER}/image.tar`, RESULT);
rmSync(`${FOLDER}/storage`, { recursive: true, force: true });
console.log(`${RESULT}: ${(statSync(RESULT).size / 2 ** 20).toFixed(1)} MiB, ${name}`);

/** What the loader would load for a program, by the names under which it looks for them. */
function librariesOf(program) {
  const lines = execFileSync("ldd", [program], { encoding: "utf8" }).split("\n");
  const found = lines.flatMap((line) => {
    const [, path] = /^\s*(?:\S+ => )?(\/\S+) \(0x/.exec(line) ?? [];
    if (line.includes("not found")) throw new Error(`${program} cannot be loaded here: ${line}`);
    return path === undefined ? [] : [path];
  });
  if (found.length === 0) throw new Error(`ldd tells nothing of ${program}`);
  // Until glibc 2.34 host names were looked up by libraries of their own.
  const libc = found.find((path) => basename(path) === "libc.so.6");
  const lookup = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"]
    .map((each) => `${dirname(libc ?? "")}/${each}`)
    .filter((path) => statSync(path, { throwIfNoEntry: false }) !== undefined);
  return [...found, ...lookup];
}

function put(from, to, mode) {
  const path = `${FOLDER}/context/root${to}`;
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(from, path);
  chmodSync(path, mode);
}

function write(path, text) {
  writeFileSync(`${FOLDER}/context/root${path}`, text, { mode: 0o644 });
}

function buildah(command, ...args) {
  execFileSync("buildah", [...storage, command, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 300_000,
  });
}
