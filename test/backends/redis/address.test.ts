import { describe, expect, it } from "vitest";
import { parseAddress, placeOf } from "../../../src/backends/redis/address.js";
import { rangeOf } from "../../../src/backends/redis/keys.js";
import { redisSettings } from "../../../src/backends/redis/settings.js";

const plain = { kind: "single", master: "", database: 0, isEncrypted: false } as const;

describe("the url of a redis", () => {
  it("is read in all its forms", () => {
    const cases: Record<string, unknown> = {
      "redis://localhost": { ...plain, endpoints: [{ host: "localhost", port: 6379 }] },
      "redis://:pa%3Ass@h:1/5": {
        endpoints: [{ host: "h", port: 1 }],
        database: 5,
        user: undefined,
        password: "pa:ss",
      },
      "rediss://u:p@x@[::1]:7/": {
        endpoints: [{ host: "::1", port: 7 }],
        isEncrypted: true,
        user: "u",
        password: "p@x",
      },
      "redis://h?db=3": { database: 3 },
      "redis+sentinel://a,b:5/main": {
        kind: "sentinel",
        master: "main",
        endpoints: [
          { host: "a", port: 26379 },
          { host: "b", port: 5 },
        ],
      },
      "rediss+sentinel://u:p@a/main/2": { master: "main", database: 2, isEncrypted: true },
      "redis+cluster://a:1,b": {
        kind: "cluster",
        endpoints: [
          { host: "a", port: 1 },
          { host: "b", port: 6379 },
        ],
      },
      "unix:///run/my%20redis.sock?db=1": {
        endpoints: [{ path: "/run/my redis.sock" }],
        database: 1,
      },
      "unix://:pw@/run/redis.sock": { password: "pw", database: 0 },
    };
    for (const [url, expected] of Object.entries(cases)) {
      expect(parseAddress(url), url).toMatchObject(expected as object);
    }
  });

  it("is refused when it is none of them", () => {
    const wrong = [
      ...["", "localhost", "http://h", "redis:/h", "redis://", "redis://h:0", "redis://h:65536"],
      ...["redis://a,b", "redis://h/x", "redis://h/1/2", "redis://h?db=x", "redis://h?x=1"],
      ...["redis+sentinel://h", "redis+sentinel://h/", "redis+cluster://h/1", "redis://h/1?db=2"],
      ...["redis://%zz:x@h", "redis+other://h", "unix://run/redis.sock", "redis://h:6379x"],
    ];
    for (const url of wrong) expect(parseAddress(url), url).toBeUndefined();
  });

  it("is shown without user and password", () => {
    const shown = (url: string): string => placeOf(parseAddress(url) ?? expect.fail(url));
    expect(shown("redis://u:secret@h:1/5")).toBe("h:1");
    expect(shown("redis+cluster://u:secret@h:1,[::1]")).toBe("the cluster at h:1,[::1]:6379");
    expect(shown("redis+sentinel://u:secret@h/main")).toBe("main of the sentinels h:26379");
    expect(shown("unix://u:secret@/run/r.sock")).toBe("/run/r.sock");
  });
});

describe("the settings of a redis", () => {
  it("are accepted where they fit together, and refused by name where not", async () => {
    const schema = await redisSettings();
    const complaints = (settings: object): unknown[] =>
      (schema.safeParse(settings).error?.issues ?? []).map(({ path }) => path.join("."));
    const url = "redis://h";
    const good = [
      { url },
      { url: "rediss://h", ca: "/ca", cert: "/cert", key: "/key", user: "u", password: "p" },
      { url, prefix: "team b", timeout: "500ms", allow_eviction: true },
      { url: "redis+sentinel://h/m", sentinel_user: "u", sentinel_password: "p" },
    ];
    for (const settings of good) expect(complaints(settings)).toEqual([]);
    expect(complaints({})).toEqual(["url"]);
    expect(complaints({ url: "h:6379" })).toEqual(["url"]);
    expect(complaints({ url, ca: "/ca" })).toEqual(["ca"]);
    expect(complaints({ url: "rediss://h", cert: "/cert" })).toEqual(["cert"]);
    expect(complaints({ url: "rediss://h", key: "/key" })).toEqual(["key"]);
    expect(complaints({ url, user: "u" })).toEqual(["user"]);
    expect(complaints({ url, sentinel_password: "p" })).toEqual(["sentinel_password"]);
    expect(complaints({ url, timeout: "5" })).toEqual(["timeout"]);
    expect(complaints({ url, timeout: "1h" })).toEqual(["timeout"]);
    for (const prefix of ["", "{a}", "a\nb"])
      expect(complaints({ url, prefix })).toEqual(["prefix"]);
  });
});

describe("a page of names", () => {
  it("begins behind the last one, or with the prefix, by their bytes", () => {
    const range = (...args: Parameters<typeof rangeOf>): string[] =>
      rangeOf(...args).map((end) => end.toString("latin1"));
    expect(range("", undefined)).toEqual(["-", "+"]);
    expect(range("", "a")).toEqual(["(a", "+"]);
    expect(range("a/", undefined)).toEqual(["[a/", "(a0"]);
    expect(range("a/", "a/x")).toEqual(["(a/x", "(a0"]);
    expect(range("b", "a")).toEqual(["[b", "(c"]);
    expect(range("\u{10ffff}", undefined)).toEqual(["[\xf4\x8f\xbf\xbf", "(\xf4\x8f\xbf\xc0"]);
  });
});
