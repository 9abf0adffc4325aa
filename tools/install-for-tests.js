// Installs the servers and tools that the tests start, where it may: as root, on Debian. Elsewhere
// the tests of what is missing are skipped, visibly; with CI=true they fail.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";

const onPath = (program) =>
  (process.env.PATH ?? "").split(":").some((folder) => existsSync(`${folder}/${program}`));
// The client's package has this folder, too.
const postgresql = "/usr/lib/postgresql";
const hasPostgresql =
  onPath("initdb") ||
  (existsSync(postgresql) &&
    readdirSync(postgresql).some((version) => existsSync(`${postgresql}/${version}/bin/initdb`)));

const missing = [
  // Programs that the tests talk to the doors with, make certificates with, or play terminals with.
  { name: "curl", isThere: onPath("curl") },
  { name: "openssl", isThere: onPath("openssl") },
  { name: "tmux", isThere: onPath("tmux") },
  { name: "bsdutils", isThere: onPath("script") },
  { name: "python3", isThere: onPath("python3") },
  { name: "perl", isThere: onPath("perl") },
  { name: "make", isThere: onPath("make") },
  // Networks of a namespace's own.
  { name: "iproute2", isThere: onPath("ip") },
  { name: "iptables", isThere: onPath("iptables") },
  { name: "redis-server", isThere: onPath("redis-server") },
  { name: "etcd-server", isThere: onPath("etcd") },
  { name: "postgresql", isThere: hasPostgresql },
  // Boots in namespaces, to run our units.
  { name: "systemd", isThere: existsSync("/lib/systemd/systemd") },
  // Builds the container image.
  { name: "buildah", isThere: onPath("buildah") },
  // The generators of stubs for the examples in Java and C++.
  { name: "protobuf-compiler", isThere: onPath("protoc") },
  { name: "protobuf-compiler-grpc-java-plugin", isThere: onPath("grpc_java_plugin") },
  { name: "protobuf-compiler-grpc", isThere: onPath("grpc_cpp_plugin") },
  // And what C++ builds with.
  { name: "g++", isThere: onPath("c++") },
  { name: "cmake", isThere: onPath("cmake") },
  { name: "libgrpc++-dev", isThere: existsSync("/usr/include/grpcpp/grpcpp.h") },
  { name: "libprotobuf-dev", isThere: existsSync("/usr/include/google/protobuf/message.h") },
].filter(({ isThere }) => !isThere);

if (missing.length > 0 && process.getuid?.() === 0 && onPath("apt-get")) {
  const names = missing.map(({ name }) => name);
  console.log(`installing for the tests: ${names.join(", ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) =>
    spawnSync("apt-get", args, { stdio: ["ignore", "ignore", "inherit"], env });
  apt("update", "-qq");
  if (apt("install", "-qq", "-y", "--no-install-recommends", ...names).status !== 0) {
    console.error(
      `could not install ${names.join(", ")}: their tests will be skipped, or fail in CI`,
    );
  }
}
