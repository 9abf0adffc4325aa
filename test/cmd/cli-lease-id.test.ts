import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { leaseIdFrom, newLeaseId } from "../../cmd/stormlock/lease-id.js";
import { temporaryDirectory } from "../backends/support/temporary.js";

it("a command's lease ids are 128 random bits each", () => {
  const ids = Array.from({ length: 1000 }, () => newLeaseId());
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/u);
  expect(new Set(ids).size).toBe(ids.length);
});

it("what has fewer bytes than that, or is not there, is no source of them", async () => {
  await using folder = await temporaryDirectory();
  const path = join(folder.path, "device");
  expect(leaseIdFrom(path)).toBeUndefined();
  await writeFile(path, Buffer.alloc(15));
  expect(leaseIdFrom(path)).toBeUndefined();
  await writeFile(path, Buffer.alloc(17, 0xab));
  expect(leaseIdFrom(path)).toBe("ab".repeat(16));
});
