import { describe, expect, it } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import { listPage } from "../../../src/lock/daemon/listing.js";
import { LockError } from "../../../src/lock/errors.js";
import { FakeClock } from "../../support/fake-clock.js";
import { wishFor } from "../../support/lock-kit.js";
import { MemoryStore } from "../../support/memory-backend.js";

/** A backend that keeps these resources. */
function holding(...resources: readonly string[]): Backend {
  const store = new MemoryStore(new FakeClock());
  for (const resource of resources) {
    store.acquire({ ...wishFor(`lease-of-${resource}`), resource, ttlMs: 60_000 });
  }
  return store.open();
}

const everywhere = (): boolean => true;

/** The same, with something of another program at these names, which come in this order. */
function spoilt(backend: Backend, names: readonly { at: Buffer; name: string }[]): Backend {
  const list = backend.list.bind(backend);
  backend.list = async ({ prefix, after, limit }) => {
    const leases = await list({ prefix, after, limit });
    const unreadable = names
      .filter(({ name }) => name.startsWith(prefix))
      .filter(({ at }) => after === undefined || Buffer.compare(at, Buffer.from(after)) > 0)
      .map(({ at, name }) => {
        const error = new LockError("unavailable", `${name} is not ours`);
        return { at, answer: { kind: "failed", resource: name, error } as const };
      });
    return [
      ...leases.map((answer) => ({ at: Buffer.from(answer.resource), answer })),
      ...unreadable,
    ]
      .sort((a, b) => Buffer.compare(a.at, b.at))
      .map(({ answer }) => answer)
      .slice(0, limit);
  };
  return backend;
}

const named = (name: string) => ({ at: Buffer.from(name), name });

async function readAll(
  backends: ReadonlyMap<string, Backend>,
  pageSize: number,
  isAtHome: Parameters<typeof listPage>[1] = everywhere,
  prefix = "",
): Promise<string[][]> {
  const pages: string[][] = [];
  let pageToken = "";
  for (let page = 0; page < 100; page++) {
    const { leases, nextPageToken } = await listPage(backends, isAtHome, {
      prefix,
      pageSize,
      pageToken,
    });
    pages.push(leases.map(({ resource }) => resource));
    if (nextPageToken === "") return pages;
    pageToken = nextPageToken;
  }
  throw new Error("a hundred pages, and no end");
}

describe("a listing", () => {
  it("goes through all backends in the order of the names' bytes, whatever the page's size", async () => {
    // U+FF5E comes before U+1F512 in bytes, and after it in UTF-16.
    const backends = new Map([
      ["one", holding("ab", "c", "\u{1F512}", "é")],
      ["two", holding("b", "B", "\uFF5E", "a")],
      ["none", holding()],
    ]);
    const ordered = ["B", "a", "ab", "b", "c", "é", "\uFF5E", "\u{1F512}"];
    for (const pageSize of [1, 2, 3, 7, 8, 9, 5000]) {
      const pages = await readAll(backends, pageSize);
      expect(pages.flat()).toEqual(ordered);
      expect(Math.max(...pages.map(({ length }) => length))).toBeLessThanOrEqual(pageSize);
    }
  });

  it("gives an end and no token with a page that is short, and one page for nothing at all", async () => {
    expect(await readAll(new Map([["one", holding("a", "b", "c")]]), 2)).toEqual([
      ["a", "b"],
      ["c"],
    ]);
    expect(await readAll(new Map([["one", holding()]]), 2)).toEqual([[]]);
    expect(await readAll(new Map(), 2)).toEqual([[]]);
  });

  it("keeps to a prefix, on every page", async () => {
    const backends = new Map([
      ["one", holding("deploy/a", "deploy/c", "other", "deployed")],
      ["two", holding("deploy/b", "zebra")],
    ]);
    expect((await readAll(backends, 1, everywhere, "deploy/")).flat()).toEqual([
      "deploy/a",
      "deploy/b",
      "deploy/c",
    ]);
  });

  it("passes over what a backend keeps although the policy sends it elsewhere now", async () => {
    const backends = new Map([
      ["one", holding(...Array.from({ length: 20 }, (_, at) => `moved/${String(at)}`), "z")],
      ["two", holding("moved/5", "a")],
    ]);
    const isAtHome = (backend: string, resource: string): boolean =>
      (backend === "two") === (resource.startsWith("moved/") || resource === "a");
    expect(await readAll(backends, 3, isAtHome)).toEqual([["a", "moved/5", "z"]]);
  });

  it("takes at most 1000 a page, and refuses a size that is none", async () => {
    const backends = new Map([
      ["one", holding(...Array.from({ length: 1200 }, (_, at) => `r${String(at)}`))],
    ]);
    const pages = await readAll(backends, 1_000_000);
    expect(pages.map(({ length }) => length)).toEqual([1000, 200]);
    for (const pageSize of [0, -1, 1.5, NaN]) {
      await expect(
        listPage(backends, everywhere, { prefix: "", pageSize, pageToken: "" }),
      ).rejects.toMatchObject({ kind: "invalid-field", field: "page_size" });
    }
  });

  it("refuses a page token that it never gave out", async () => {
    for (const pageToken of ["%%%", "/w==", "not base64!"]) {
      await expect(
        listPage(new Map([["one", holding("a")]]), everywhere, {
          ...{ prefix: "", pageSize: 10, pageToken },
        }),
      ).rejects.toMatchObject({ kind: "invalid-field", field: "page_token" });
    }
  });

  it("fails when a backend does not answer: half a list would be a lie", async () => {
    const broken = new MemoryStore(new FakeClock()).open(() => ({ fail: "before" }));
    const backends = new Map<string, Backend>([
      ["one", holding("a")],
      ["two", broken],
    ]);
    await expect(
      listPage(backends, everywhere, { prefix: "", pageSize: 10, pageToken: "" }),
    ).rejects.toMatchObject({ kind: "unavailable" });
  });
});

describe("a listing of what can be read and what cannot", () => {
  async function readBoth(backends: ReadonlyMap<string, Backend>, pageSize: number) {
    const held: string[] = [];
    const unreadable: string[] = [];
    let pageToken = "";
    for (let pages = 0; pages < 100; pages++) {
      const query = { prefix: "", pageSize, pageToken };
      const page = await listPage(backends, (_, resource) => resource !== "moved", query);
      expect(page.leases.length + page.unreadable.length).toBeLessThanOrEqual(pageSize);
      held.push(...page.leases.map(({ resource }) => resource));
      unreadable.push(...page.unreadable.map(({ error }) => error.message));
      pageToken = page.nextPageToken;
      if (pageToken === "") return { held, unreadable };
    }
    throw new Error("a hundred pages, and no end");
  }

  it.each([1, 2, 3, 4, 100])("tells both, in pages of %i", async (pageSize) => {
    const backends = new Map([
      ["one", spoilt(holding("a", "d"), [named("b"), named("moved")])],
      ["two", spoilt(holding("c", "f"), [named("e"), named("z")])],
    ]);
    expect(await readBoth(backends, pageSize)).toEqual({
      held: ["a", "c", "d", "f"],
      unreadable: ["b", "e", "z"].map((name) => `${name} is not ours`),
    });
  });

  // As it reads, it would be after "é" and "ä"; where it is, it is before them.
  const noName = { at: Buffer.of(0x80), name: "\u{fffd}" };

  it.each([2, 3, 4, 100])(
    "goes on behind a key that is no name, in pages of %i",
    async (pageSize) => {
      const backends = new Map([
        ["one", spoilt(holding("a", "ä", "é"), [noName])],
        ["two", holding("b", "è")],
      ]);
      const { held, unreadable } = await readBoth(backends, pageSize);
      expect(held).toEqual(["a", "b", "ä", "è", "é"]);
      for (const message of unreadable) expect(message).toBe("\u{fffd} is not ours");
    },
  );

  it("goes on after a name with that very character in it", async () => {
    const names = ["\u{fffd}", "\u{fffd}a", "\u{fffd}b"];
    const { held } = await readBoth(new Map([["one", holding(...names)]]), 1);
    expect(held).toEqual(names);
  });

  it("ends with an error where a page leads nowhere, and does not read it for ever", async () => {
    const nowhere = { at: Buffer.of(0xfe), name: "\u{fffd}" };
    const one = new Map([["one", spoilt(holding("a"), [nowhere])]]);
    await expect(readBoth(one, 1)).rejects.toThrow("\u{fffd} is not ours");

    const stuck = holding("a", "moved");
    const list = stuck.list.bind(stuck);
    stuck.list = ({ limit }) => list({ prefix: "moved", after: undefined, limit });
    await expect(readBoth(new Map([["one", stuck]]), 1)).rejects.toThrow(/the page before/u);
  });
});

describe("a listing's prefix", () => {
  it.each([
    ["a control character", "a\nb"],
    ["half of a surrogate pair", "a\ud800"],
    ["more bytes than a name may have", "é".repeat(101)],
    ["a space at its beginning", " a"],
    ["another normalization form", "e\u0301"],
  ])("that no name can have is refused, not found empty: %s", async (_what, prefix) => {
    const backends = new Map([["one", holding("a")]]);
    await expect(
      listPage(backends, everywhere, { prefix, pageSize: 10, pageToken: "" }),
    ).rejects.toMatchObject({ kind: "invalid-field", field: "prefix" });
  });

  it("may be empty, as long as a name, or end with a space within one", async () => {
    const long = "x".repeat(200);
    const backends = new Map([["one", holding("a b", "ab", long)]]);
    expect(await readAll(backends, 10, everywhere, "a ")).toEqual([["a b"]]);
    expect(await readAll(backends, 10, everywhere, long)).toEqual([[long]]);
    expect((await readAll(backends, 10)).flat()).toHaveLength(3);
  });
});

describe("a caller who goes while a listing reads on past what is not at home", () => {
  it("ends it with the page that is being read", async () => {
    const names = Array.from({ length: 50 }, (_, nth) => `r${String(nth)}`);
    const backend = holding(...names);
    const leave = new AbortController();
    let pages = 0;
    const list = backend.list.bind(backend);
    backend.list = (query) => {
      pages += 1;
      if (pages === 3) leave.abort();
      return list(query);
    };
    const query = { prefix: "", pageSize: 2, pageToken: "" };
    const listing = listPage(new Map([["one", backend]]), () => false, query, leave.signal);
    await expect(listing).rejects.toMatchObject({ kind: "cancelled" });
    expect(pages).toBe(3);
  });
});
