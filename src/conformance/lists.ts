// Looking at many leases, page by page.

import assert from "node:assert/strict";
import type { Backend, ListAnswer } from "../lock/backend.js";
import { leaseIn } from "../lock/unreadable.js";
import { granted, release, story, type ConformanceOptions } from "./stage.js";

// In the order of their bytes. By UTF-16, as strings of this language are compared, the emoji
// would come before the wide tilde.
const IN_ORDER = ["!", "0", "A", "Z", "a", "aa", "a/", "b", "~", "é", "ア", "～", "😀"].sort(
  (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)),
);

export function listStories(options: ConformanceOptions): void {
  story(options, "leases are listed by the order of their bytes, page by page", async (stage) => {
    assert.ok(IN_ORDER.indexOf("～") < IN_ORDER.indexOf("😀"));
    const names = IN_ORDER.map((rest) => stage.name(rest));
    await stage.ours.acquire([...names].reverse().map((name) => stage.ask(name)));
    for (const limit of [1, 3, names.length, 100]) {
      assert.deepEqual(await everyPage(stage.theirs, stage.name(), limit), names);
    }
  });

  story(options, "a page starts after any name, be it held or not", async (stage) => {
    const names = ["a", "b", "c", "d"].map((rest) => stage.name(rest));
    await stage.ours.acquire(names.map((name) => stage.ask(name)));
    const after = (name: string): Promise<string[]> =>
      namesOf(stage.ours, { prefix: stage.name(), after: name, limit: 2 });
    assert.deepEqual(await after(stage.name("a")), names.slice(1, 3));
    assert.deepEqual(await after(stage.name("aa")), names.slice(1, 3));
    assert.deepEqual(await after(stage.name("c")), names.slice(3));
    assert.deepEqual(await after(stage.name("d")), []);
    assert.deepEqual(await after("!"), names.slice(0, 2));
  });

  story(options, "a prefix means itself, whatever its characters mean elsewhere", async (stage) => {
    const rests = ["x%y", "x_y", "xzy", "x*y", "x?y", "x[z]y", "x\\y", "x", "X%y"];
    const names = rests.map((rest) => stage.name(rest));
    await stage.ours.acquire(names.map((name) => stage.ask(name)));
    for (const [index, name] of names.entries()) {
      const found = await namesOf(stage.theirs, { prefix: name, after: undefined, limit: 100 });
      const isX = rests[index] === "x";
      assert.deepEqual(found.sort(), isX ? names.filter((n) => n.startsWith(name)).sort() : [name]);
    }
    const none = { prefix: stage.name("none"), after: undefined, limit: 100 };
    assert.deepEqual(await namesOf(stage.theirs, none), []);
  });

  story(options, "the empty prefix lists everything", async (stage) => {
    const lease = await granted(stage.ours, stage.ask(stage.name()));
    assert.ok((await everyPage(stage.theirs, "", 1000)).includes(lease.resource));
  });

  story(options, "what has ended is not listed", async (stage) => {
    const kept = await granted(stage.ours, stage.ask(stage.name("kept")));
    const released = await granted(stage.ours, stage.ask(stage.name("released")));
    await granted(stage.ours, stage.ask(stage.name("expired"), { ttlMs: stage.shortTtlMs }));
    assert.equal(await release(stage.ours, released), "released");
    await stage.outliveShortTtl();
    assert.deepEqual(await everyPage(stage.theirs, stage.name(), 1), [kept.resource]);
    const [answer] = await stage.theirs.list({ prefix: stage.name(), after: undefined, limit: 9 });
    const listed = leaseIn(answer);
    assert.equal(listed?.token, kept.token);
    assert.equal(listed.principal, kept.principal);
  });

  const { spoil } = options;
  if (spoil === undefined) return;
  story(
    options,
    "a row that cannot be read is listed as such, and hides no other",
    async (stage) => {
      const names = ["a", "b", "c"].map((rest) => stage.name(rest));
      const [first, spoilt = "", last] = names;
      await stage.ours.acquire(names.map((name) => stage.ask(name)));
      const unspoil = await spoil(spoilt);
      for (const limit of [1, 2, 3, 100]) {
        const answers = await everyPage(stage.theirs, stage.name(), limit, (answer) =>
          "kind" in answer ? `${answer.resource}: ${answer.error.kind}` : answer.resource,
        );
        assert.deepEqual(answers, [first, `${spoilt}: unavailable`, last]);
      }
      await unspoil();
      assert.deepEqual(
        (await everyPage(stage.theirs, stage.name(), 100)).filter((name) => name !== spoilt),
        [first, last],
      );
    },
  );
}

async function namesOf(backend: Backend, ask: Parameters<Backend["list"]>[0]): Promise<string[]> {
  return (await backend.list(ask)).map(({ resource }) => resource);
}

async function everyPage(
  backend: Backend,
  prefix: string,
  limit: number,
  told = ({ resource }: ListAnswer): string => resource,
): Promise<string[]> {
  const found: ListAnswer[] = [];
  for (let pages = 0; pages < 10_000; pages++) {
    const page = await backend.list({ prefix, after: found.at(-1)?.resource, limit });
    found.push(...page);
    if (page.length < limit) return found.map(told);
    assert.equal(page.length, limit, "a page should hold no more than was asked for");
  }
  assert.fail("the pages should come to an end");
}
