import { defineConfig } from "vitest/config";

// Stores that need a server of their own, which their tests start.
const SERVERS = ["backends/dynamodb", "backends/etcd", "backends/postgresql", "backends/redis"];

// What is late in these is lost: they run alone, like the outages of all stores.
const ALONE = [
  "test/backends/dynamodb/{outage,pressure}.test.ts",
  "test/backends/etcd/cluster.test.ts",
];

// Rules run on a fake clock (rules), stores for real (backends), doors over real sockets
// (doors), and the built program as its users run it (e2e; over every store: stores). One
// project after the other: what looks at real time shall not share the machine with database
// servers under load. Files that mostly wait for other processes run side by side, on two cores.
interface Project {
  readonly name: string;
  /** Those of one turn share their workers; the next turn begins when all of it are done. */
  readonly turn: number;
  readonly folders: readonly string[];
  /** Files besides. */
  readonly files?: readonly string[];
  /** Files of the folders that another turn takes. */
  readonly but?: readonly string[];
  readonly timeoutMs: number;
  /** How many files run at the same time. */
  readonly workers: number;
  /** How many tests of a file do that are marked as concurrent; five when left out. */
  readonly concurrency?: number;
}

const PROJECTS: readonly Project[] = [
  {
    name: "rules",
    turn: 0,
    folders: ["lock", "config", "cmd", "trials"],
    timeoutMs: 20_000,
    workers: 2,
  },
  {
    name: "backends",
    turn: 0,
    folders: ["backends/memory", "backends/plug-in", "backends/sqlite"],
    timeoutMs: 60_000,
    workers: 2,
  },
  { name: "doors", turn: 1, folders: ["rpc"], timeoutMs: 120_000, workers: 1 },
  { name: "e2e", turn: 2, folders: ["e2e"], timeoutMs: 120_000, workers: 3 },
  { name: "servers", turn: 3, folders: SERVERS, but: ALONE, timeoutMs: 60_000, workers: 3 },
  { name: "stores", turn: 4, folders: ["stores"], timeoutMs: 60_000, workers: 2 },
  {
    name: "outages",
    turn: 5,
    folders: ["outages"],
    files: ALONE,
    timeoutMs: 60_000,
    workers: 1,
  },
  {
    name: "clients",
    turn: 6,
    folders: ["../clients"],
    timeoutMs: 60_000,
    workers: 1,
    concurrency: 10,
  },
  { name: "deploy", turn: 7, folders: ["../deploy"], timeoutMs: 120_000, workers: 3 },
];

export default defineConfig({
  oxc: { target: "node20" },
  test: {
    globalSetup: "test/support/build.ts",
    // What is awaited without a bound of its own: that it comes is the claim, not how soon.
    expect: { poll: { timeout: 15_000, interval: 20 } },
    reporters: ["default", "./test/support/summary.ts"],
    projects: PROJECTS.map(({ name, turn, folders, files = [], but = [], ...more }) => ({
      extends: true as const,
      test: {
        name,
        include: [...folders.map((folder) => `test/${folder}/**/*.test.ts`), ...files],
        exclude: [...but],
        testTimeout: more.timeoutMs,
        hookTimeout: more.timeoutMs,
        maxWorkers: more.workers,
        ...(more.concurrency !== undefined && { maxConcurrency: more.concurrency }),
        sequence: { groupOrder: turn },
      },
    })),
  },
});
