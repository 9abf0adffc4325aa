import { defineConfig } from "vitest/config";

// Stores that need a server of their own, which their tests start: `make test-servers`.
const SERVERS = [
  ...["backends/dynamodb", "backends/etcd", "backends/postgresql", "backends/redis"],
  "stores",
];

// Rules run on a fake clock (rules), stores for real (backends), doors over real sockets
// (doors), and the built program as its users run it (e2e; over every store: servers). One
// project after the other: what looks at real time shall not share the machine with database
// servers under load.
const project = (name: string, groupOrder: number, folders: string[], timeoutMs: number) => ({
  extends: true as const,
  test: {
    name,
    include: folders.map((folder) => `test/${folder}/**/*.test.ts`),
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
    sequence: { groupOrder },
  },
});

export default defineConfig({
  oxc: { target: "node20" },
  test: {
    globalSetup: "test/support/build.ts",
    // What is awaited without a bound of its own: that it comes is the claim, not how soon.
    expect: { poll: { timeout: 15_000, interval: 20 } },
    reporters: ["default", "./test/support/summary.ts"],
    projects: [
      project("rules", 0, ["lock", "config", "cmd"], 20_000),
      project("backends", 1, ["backends/memory", "backends/sqlite"], 60_000),
      project("doors", 2, ["rpc"], 120_000),
      project("e2e", 3, ["e2e"], 120_000),
      project("servers", 4, SERVERS, 60_000),
    ],
  },
});
