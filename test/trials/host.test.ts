import { afterEach, expect, test, vi } from "vitest";
import { hostMs, wallToHostMs } from "../../trials/host.js";

afterEach(() => {
  vi.restoreAllMocks();
});

test("a moment of the wall clock is found on the host's clock, to within a ms", () => {
  const errorMs = Date.now() + wallToHostMs() - hostMs();
  // The wall clock tells whole ms, and this process may be put aside between the lines.
  expect(errorMs).toBeLessThan(1);
  expect(errorMs).toBeGreaterThan(-50);
});

test("also when the wall clock has been moved since this process began", () => {
  const beforeMs = wallToHostMs();
  const wallMs = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => wallMs() - 7000);
  expect(wallToHostMs() - beforeMs).toBeGreaterThan(6950);
  expect(wallToHostMs() - beforeMs).toBeLessThan(7050);
});
