import { describe, expect, it } from "vitest";
import { formatLease, formatLeases, leaseJson } from "../../cmd/stormlock/lease-format.js";
import { waitingFor } from "../../cmd/stormlock/waiting.js";
import type { Lease } from "../../src/lock/lease.js";

const LEASE: Lease = {
  resource: "deploy/prod",
  leaseId: "9f86d081884c7d659a2feaa0c55ad015",
  principal: "ann@ci-7",
  token: 9_007_199_254_740_993n,
  ttlMs: 5_400_000,
  remainingMs: 5_000_000,
  createdAtUs: 1_582_934_400_123_456n,
  expiresAtUs: 1_582_939_800_123_456n,
  revision: 1n,
  reason: "release 4.2",
  labels: { run: "17" },
};
const ID = LEASE.leaseId;
const CREATED = "2020-02-29T00:00:00.123Z";

describe("a lease is printed as the older tool did", () => {
  it("as its id", () => {
    expect(formatLease(LEASE, "id")).toBe(`${ID}\n`);
  });

  it("as one line with tabs, and as three lines", () => {
    expect(formatLease(LEASE, "oneline")).toBe(`ann@ci-7\t${CREATED}\t${ID}\n`);
    expect(formatLease(LEASE, "lines")).toBe(`ann@ci-7\n${CREATED}\n${ID}\n`);
  });

  it("as columns of one width, four wider than the widest field", () => {
    const [head = "", fields = "", ...rest] = formatLease(LEASE, "cols").split("\n");
    expect(rest).toEqual([""]);
    for (const [line, texts] of [
      [head, ["PRINCIPAL", "CREATED", "ID"]],
      [fields, ["ann@ci-7", CREATED, ID]],
    ] as const) {
      expect(line).toBe(texts.map((text) => text.padEnd(36)).join(""));
    }
  });

  it("as rows, with what is new after what was there", () => {
    expect(formatLease(LEASE, "rows").split("\n")).toEqual([
      "Principal: ann@ci-7",
      `Created: ${CREATED}`,
      `Id: ${ID}`,
      "Expires: 2020-02-29T01:30:00.123Z",
      "Ttl: 1h30m",
      "Token: 9007199254740993",
      "Reason: release 4.2",
      "Label: run=17",
      "",
    ]);
  });

  it("as JSON that begins with the older tool's keys, the token being a text", () => {
    const text = formatLease(LEASE, "json");
    expect(text.endsWith("}\n")).toBe(true);
    const json = JSON.parse(text) as Record<string, unknown>;
    expect(Object.keys(json).slice(0, 3)).toEqual(["id", "created", "principal"]);
    expect(json).toMatchObject({ id: ID, created: CREATED, token: "9007199254740993" });
    expect(leaseJson({ ...LEASE, leaseId: "" })).not.toHaveProperty("id");
  });
});

describe("a list", () => {
  const others = [LEASE, { ...LEASE, resource: "deploy/a-rather-long-name", reason: "" }];

  it("is lines with tabs for scripts, without a head", () => {
    const lines = formatLeases(others, false).split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[0]?.split("\t")).toEqual([
      "deploy/prod",
      "ann@ci-7",
      CREATED,
      "2020-02-29T01:30:00.123Z",
      "9007199254740993",
      "release 4.2",
    ]);
    expect(lines[1]?.split("\t")).toHaveLength(6);
  });

  it("is columns under a head for people, and nothing when nothing is held", () => {
    const [head = "", first = "", second = ""] = formatLeases(others, true).split("\n");
    const column = head.indexOf("PRINCIPAL");
    expect(first.slice(column)).toMatch(/^ann@ci-7 {2}/u);
    expect(second.slice(column)).toMatch(/^ann@ci-7 {2}/u);
    expect(formatLeases([], true)).toBe("");
  });
});

describe("the words of a wait", () => {
  const since = (ms: number): number => 1_582_934_400_123 + ms;

  it("say who holds it, for how long and why", () => {
    expect(waitingFor("deploy/prod", LEASE, since(200_000))).toBe(
      "waiting for deploy/prod: held by ann@ci-7 for 3m (release 4.2)",
    );
    expect(waitingFor("x", { ...LEASE, reason: "" }, since(7_300_000))).toBe(
      "waiting for x: held by ann@ci-7 for 2h",
    );
  });

  it("are not negative when the store's clock is ahead", () => {
    expect(waitingFor("x", { ...LEASE, reason: "" }, since(-5000))).toMatch(/for 0s$/u);
  });
});
