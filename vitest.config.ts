import { defineConfig } from "vitest/config";

// Rules run on a fake clock (rules), stores for real (backends), doors over real sockets
// (doors), and the built program as its users run it (e2e).
const project = (name: string, folders: string[], timeoutMs: number) => ({
  extends: true as const,
  test: {
    name,
    include: folders.map((folder) => `test/${folder}/**/*.test.ts`),
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
  },
});

export default defineConfig({
  oxc: { target: "node20" },
  test: {
    globalSetup: "test/support/build.ts",
    reporters: ["default", "./test/support/summary.ts"],
    projects: [
      project("rules", ["lock", "config", "cmd"], 20_000),
      project("backends", ["backends"], 60_000),
      project("doors", ["rpc"], 60_000),
      project("e2e", ["e2e"], 120_000),
    ],
  },
});
