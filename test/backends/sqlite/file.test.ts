import { execFileSync } from "node:child_process";
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSqlite, type SqliteHooks } from "../../../src/backends/sqlite/backend.js";
import { refuseNetworkFileSystem } from "../../../src/backends/sqlite/network-file-system.js";
import { systemClock } from "../../../src/system-clock.js";
import { bundleChildren, type Children } from "../support/children.js";
import { ask, holder, storeFile, take } from "./stage.js";

const unavailable = (words: RegExp): object => ({
  kind: "unavailable",
  message: expect.stringMatching(words) as unknown,
});

const open = (path: string, hooks?: SqliteHooks): ReturnType<typeof openSqlite> =>
  openSqlite({ path }, { clock: systemClock }, hooks);

describe("a store file", () => {
  it("is made with its directories, for its owner alone", async () => {
    await using file = await storeFile();
    const path = join(file.directory, "not/there/yet/locks.db");
    await using backend = await open(path);
    await take(backend, "a");
    const modeOf = async (place: string): Promise<number> => (await stat(place)).mode & 0o777;
    expect(await modeOf(join(file.directory, "not"))).toBe(0o700);
    expect(await modeOf(join(file.directory, "not/there/yet"))).toBe(0o700);
    for (const suffix of ["", "-wal", "-shm"]) expect(await modeOf(path + suffix)).toBe(0o600);
  });

  it("that is a directory is refused", async () => {
    await using file = await storeFile();
    await expect(open(file.directory)).rejects.toMatchObject(
      unavailable(/is a directory: name a file in it/u),
    );
  });

  it("under a path that leads through a file is refused", async () => {
    await using file = await storeFile();
    await writeFile(join(file.directory, "file"), "");
    for (const rest of ["file/locks.db", "file/deeper/locks.db"]) {
      await expect(open(join(file.directory, rest))).rejects.toMatchObject(
        unavailable(/is a file, not a directory/u),
      );
    }
  });

  it("that is no database is refused and left as it was", async () => {
    await using file = await storeFile();
    const text = "a letter to my landlord\n".repeat(100);
    await writeFile(file.path, text);
    await expect(file.open()).rejects.toMatchObject(unavailable(/not an SQLite database/u));
    expect(await readFile(file.path, "utf8")).toBe(text);
  });

  it("of another program is refused and left as it was", async () => {
    await using file = await storeFile();
    const other = await file.raw();
    other.exec("CREATE TABLE recipes (name TEXT)");
    other.close();
    const bytes = await readFile(file.path);
    await expect(file.open()).rejects.toMatchObject(unavailable(/of another program/u));
    expect((await readFile(file.path)).equals(bytes)).toBe(true);
  });

  it("of a newer version is refused, also when it comes while we are at work", async () => {
    await using file = await storeFile();
    await using backend = await file.open();
    await take(backend, "a");
    const newer = await file.raw();
    newer.exec("PRAGMA user_version = 7");
    newer.close();
    const words = unavailable(/made by a newer Stormlock \(version 7 .*update/u);
    await expect(backend.acquire([ask("b")])).rejects.toMatchObject(words);
    await expect(backend.current(["a"])).rejects.toMatchObject(words);
    await expect(file.open()).rejects.toMatchObject(words);
  });

  it("that is damaged is refused", async () => {
    await using file = await storeFile();
    const backend = await file.open();
    await backend.acquire(Array.from({ length: 500 }, (_, n) => ask(String(n))));
    await backend[Symbol.asyncDispose]();
    const bytes = await readFile(file.path);
    bytes.fill(0xaa, 4096);
    await writeFile(file.path, bytes);
    const use = async (): Promise<void> => {
      await using damaged = await file.open();
      await take(damaged, "0");
    };
    await expect(use()).rejects.toMatchObject(unavailable(/is damaged .*move it away/u));
  });

  it("that was replaced while in use is noticed before anything is granted", async () => {
    await using file = await storeFile();
    await using backend = await file.open();
    await take(backend, "a");
    await rename(file.path, `${file.path}.old`);
    await using other = await file.open();
    await take(other, "b");
    await expect(backend.acquire([ask("b")])).rejects.toMatchObject(
      unavailable(/removed or replaced/u),
    );
    expect((await backend.acquire([ask("b")]))[0]?.kind).toBe("held");
    for (const suffix of ["", "-wal", "-shm"]) await rm(file.path + suffix, { force: true });
    await expect(backend.current(["b"])).rejects.toMatchObject(unavailable(/removed or replaced/u));
    expect(await holder(backend, "b")).toBeUndefined();
  });

  it("that was replaced while somebody waits is noticed by whoever asks, not by the look for releases", async () => {
    await using file = await storeFile();
    await using backend = await file.open();
    backend.watch?.(() => undefined);
    await take(backend, "a");
    await rename(file.path, `${file.path}.old`);
    await using other = await file.open();
    await take(other, "b");
    await new Promise((resolve) => setTimeout(resolve, 200)); // four looks
    await expect(backend.acquire([ask("a")])).rejects.toMatchObject(
      unavailable(/removed or replaced/u),
    );
    await take(backend, "a");
  });

  it("is not walked through by a list: what has ended costs it nothing", async () => {
    await using file = await storeFile();
    await using backend = await file.open();
    await take(backend, "a");
    const raw = await file.raw();
    const plan = raw
      .prepare(
        `EXPLAIN QUERY PLAN SELECT resource FROM leases
         WHERE resource >= x'00' AND resource < x'ff' AND NOT released AND expires_us > 0
         ORDER BY resource LIMIT 10`,
      )
      .all();
    raw.close();
    expect(plan.map(({ detail }) => detail)).toEqual([expect.stringContaining("INDEX held")]);
  });
});

describe("a file system over the network", () => {
  it.each([
    ...([[0x6969, "nfs"] as const, [0xff534d42, "cifs"], [-11317950, "cifs"]] as const),
    ...([[0xfe534d42, "smb2"] as const, [0x517b, "smb"], [0x01021997, "9p"]] as const),
  ])("of type %d is refused by name", async (type, name) => {
    await using file = await storeFile();
    const path = join(file.directory, "not/there/locks.db");
    const statFs = (place: string): Promise<{ type: number }> =>
      Promise.resolve({ type: place === file.directory ? type : 0 });
    await expect(open(path, { statFs })).rejects.toMatchObject(
      unavailable(new RegExp(`locks\\.db is on a network file system \\(${name}\\)`, "u")),
    );
    await expect(stat(join(file.directory, "not"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("behind FUSE is told from a local one by the mount table", async () => {
    const statFs = (): Promise<{ type: number }> => Promise.resolve({ type: 0x65735546 });
    const mounts = (): Promise<string> =>
      Promise.resolve(
        [
          "22 1 8:1 / / rw,relatime shared:1 - fuse.fuse-overlayfs overlay rw",
          "40 22 0:50 / /tmp\\040x rw - fuse.sshfs me@host:/ rw",
          "41 40 0:51 / /tmp\\040x/local rw master:3 propagate_from:2 - fuseblk /dev/sdb1 rw",
        ].join("\n"),
      );
    const check = (path: string): Promise<void> =>
      refuseNetworkFileSystem(path, {
        statFs,
        mounts,
        realPath: (place) => Promise.resolve(place),
      });
    await check("/var/locks.db");
    await check("/tmp xyz/locks.db");
    await check("/tmp x/local/locks.db");
    await expect(check("/tmp x/locks.db")).rejects.toMatchObject(unavailable(/\(fuse\.sshfs\)/u));
  });
});

// Root may write everywhere unless that right is taken away.
const WITHOUT_OVERRIDE =
  process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] : [];

function runs([command, ...args]: readonly string[]): boolean {
  if (command === undefined) return true;
  try {
    execFileSync(command, [...args, "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe("several processes", () => {
  let children: Children;

  beforeAll(async () => {
    children = await bundleChildren("open", "full-disk");
  });

  afterAll(async () => {
    await children[Symbol.asyncDispose]();
  });

  it("that make the same files at the same time all succeed, and one wins each lock", async () => {
    await using file = await storeFile();
    const [processes, files] = [8, 6];
    const paths = Array.from({ length: files }, (_, n) => join(file.directory, `${String(n)}/db`));
    const atMs = Date.now() + 1000;
    const outcomes = (await Promise.all(
      Array.from({ length: processes }, () => children.run("open", { paths, atMs })),
    )) as string[][];
    for (const index of paths.keys()) {
      const there = outcomes.map((all) => all[index]).sort();
      expect(there).toEqual(["granted", ...Array.from({ length: processes - 1 }, () => "held")]);
    }
  });

  it.skipIf(!runs(WITHOUT_OVERRIDE))(
    "a user who may not write the file or its directory is told so",
    async () => {
      await using file = await storeFile();
      const closed = join(file.directory, "closed");
      await mkdir(closed);
      const backend = await open(join(closed, "locks.db"));
      await backend[Symbol.asyncDispose]();
      const run = async (...rest: string[]): Promise<unknown> =>
        children.run(
          "open",
          { paths: rest.map((name) => join(closed, name)), atMs: 0 },
          { under: WITHOUT_OVERRIDE },
        );
      await chmod(closed, 0o500);
      const words = expect.stringMatching(/cannot be written by this user: give/u) as unknown;
      expect(await run("locks.db", "new.db", "deeper/new.db")).toEqual([words, words, words]);
      await chmod(closed, 0o700);
      await chmod(join(closed, "locks.db"), 0o400);
      expect(await run("locks.db")).toEqual([words]);
      await chmod(join(closed, "locks.db"), 0o600);
      expect(await run("locks.db")).toEqual(["granted"]);
    },
  );

  // A small file system of its own, in a mount namespace that ends with the child.
  const IN_NAMESPACE = ["unshare", process.getuid?.() === 0 ? "-m" : "-rm"];
  const onSmallDisk = (directory: string): string[] => [
    ...[...IN_NAMESPACE, "sh", "-c"],
    'mount -t tmpfs -o size=4m none "$0" && exec "$@"',
    directory,
  ];

  it.skipIf(process.platform !== "linux" || !runs(onSmallDisk("/mnt")))(
    "a full disk is said, loses nothing, keeps nobody from renewing and releasing what is held, and is forgotten when there is room",
    async () => {
      await using file = await storeFile();
      const { directory } = file;
      const found = await children.run(
        "full-disk",
        { directory },
        { under: onSmallDisk(directory) },
      );
      const words = expect.stringMatching(
        /no space left for the store|look for a full disk/u,
      ) as unknown;
      expect(found).toMatchObject({
        ...{ during: words, check: words, missingAfter: 0, missingReopened: 0 },
        ...{ missingWhileFull: 0, renewals: "all renewed" },
        passed: "released,granted,rejected,fulfilled",
      });
      const { before, after, held } = found as Record<string, unknown>;
      expect([before, after]).toEqual([undefined, undefined]);
      expect(held).toBeGreaterThanOrEqual(400);
    },
  );

  it("a limit on the size of files is said, and loses nothing", async () => {
    await using file = await storeFile();
    await using backend = await file.open();
    const [kept, free] = [await take(backend, "kept"), await take(backend, "one")];
    await backend.release([free]);
    const input = { paths: [file.path], atMs: 0 };
    const limited = ["sh", "-c", 'trap "" XFSZ; ulimit -f 1; exec "$0" "$@"'];
    expect(await children.run("open", input, { under: limited })).toEqual([
      expect.stringMatching(/full disk, a quota, a file size limit/u),
    ]);
    expect((await holder(backend, "kept"))?.token).toBe(kept.token);
    expect(await children.run("open", input)).toEqual(["granted"]);
  });
});
