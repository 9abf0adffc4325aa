// Names that stores may take for something else (B9).

import assert from "node:assert/strict";
import { leaseIn } from "../lock/unreadable.js";
import { granted, current, release, story, type ConformanceOptions } from "./stage.js";

const HOSTILE = [
  ...["{}", "{a}", "{a}b", "/", "//", "/a", "a/", "%", "%2F", "%00", "_", "*", "?", "[a]", "\\"],
  ...["..", "../..", "./a", ".", "\0", "a\0", "a\0b", "\u0001", "\n", "\r\n", "\t", "\u007f", " "],
  ...["'", '"', "`", "';--", "$1", "${x}", "#", ":", "a:b", "a::b", "-", "--", "~", "|", "NULL"],
  ...["é", "e\u0301", "Å", "A\u030a", "ﬁ", "fi", "ß", "ss", "İ", "i", "ı", "I", "K", "K"],
  ...["A", "a", "a ", "😀", "👩‍👩‍👧", "\ufeff", "\u200b", "\u202e", "\uffff", "\u{10ffff}", "ア", "ｱ"],
  ...["0", "00", "-1", "1e3", "__proto__", "constructor", "toString"],
];

const LONGEST_BYTES = 200;

export function nameStories(options: ConformanceOptions): void {
  story(options, "names that look alike or mean something elsewhere never meet", async (stage) => {
    const names = [...new Set(HOSTILE)].map((rest) => stage.name(rest));
    const asks = names.map((name) =>
      stage.ask(name, { principal: `holder of ${String(names.indexOf(name))}` }),
    );
    for (const answer of await stage.ours.acquire(asks)) {
      assert.ok(answer.kind === "granted" && answer.created);
    }
    const seen = (await stage.theirs.current(names)).map(leaseIn);
    assert.deepEqual(
      seen.map((lease) => [lease?.resource, lease?.leaseId]),
      asks.map(({ resource, leaseId }) => [resource, leaseId]),
    );
    const listed = await stage.theirs.list({ prefix: stage.name(), after: undefined, limit: 500 });
    assert.deepEqual(listed.map(({ resource }) => resource).sort(), [...names].sort());

    const [even, odd] = [0, 1].map((rest) => asks.filter((_, index) => index % 2 === rest));
    assert.ok(even !== undefined && odd !== undefined);
    for (const { kind } of await stage.ours.release(even)) assert.equal(kind, "released");
    const left = (await stage.theirs.current(names)).map(leaseIn);
    assert.deepEqual(
      left.filter((lease) => lease !== undefined).map(({ leaseId }) => leaseId),
      odd.map(({ leaseId }) => leaseId),
    );
  });

  story(options, "names without a prefix of ours never meet either", async (stage) => {
    // Another run may have left these; what matters is that each is its own.
    const short = ["\0", "%", "{", "'", "é", "e\u0301"];
    const asks = short.map((name) => stage.ask(name, { ttlMs: stage.shortTtlMs }));
    const answers = await stage.ours.acquire(asks);
    const seen = (await stage.theirs.current(short)).map(leaseIn);
    for (const [index, answer] of answers.entries()) {
      if (answer.kind !== "granted") continue;
      assert.equal(answer.lease.resource, short[index]);
      assert.equal(seen[index]?.leaseId, answer.lease.leaseId);
    }
    await stage.ours.release(asks);
  });

  story(
    options,
    `names of ${String(LONGEST_BYTES)} bytes that differ in the last are two`,
    async (stage) => {
      const fill = (last: string): string => {
        const length = LONGEST_BYTES - Buffer.byteLength(stage.name()) - Buffer.byteLength(last);
        return stage.name("x".repeat(length) + last);
      };
      for (const [one, other] of [
        ["a", "b"],
        ["😀", "😁"],
        ["\0", "\u0001"],
      ] as const) {
        const lease = await granted(stage.ours, stage.ask(fill(one)));
        assert.equal(await current(stage.theirs, fill(other)), undefined);
        await granted(stage.theirs, stage.ask(fill(other)));
        assert.equal(await release(stage.ours, lease), "released");
        assert.ok(await current(stage.ours, fill(other)));
      }
    },
  );
}
