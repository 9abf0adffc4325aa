import { describe, expect, test } from "vitest";
import { formatAddress, isLoopback, parseAddress, type Address } from "../../src/lock/address.js";

function parsed(text: string): Address {
  const address = parseAddress(text);
  if (address.kind === "malformed") throw new Error(`${text}: expected ${address.expected}`);
  return address;
}

describe("an address is read, and written in full", () => {
  test.each([
    ["127.0.0.1:7420", "127.0.0.1:7420"],
    ["127.0.0.1", "127.0.0.1:7420"],
    ["localhost:80", "localhost:80"],
    ["locks.example.com", "locks.example.com:7420"],
    ["my_host-1:65535", "my_host-1:65535"],
    ["127.0.0.1:0", "127.0.0.1:0"],
    ["[::1]:7420", "[::1]:7420"],
    ["[fe80::1]", "[fe80::1]:7420"],
    ["[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1"],
    ["unix:/run/stormlock.sock", "unix:/run/stormlock.sock"],
    ["unix:///run/stormlock.sock", "unix:/run/stormlock.sock"],
    ["unix:here.sock", "unix:here.sock"],
  ])("%s", (text, inFull) => {
    expect(formatAddress(parsed(text))).toBe(inFull);
    expect(parsed(inFull)).toEqual(parsed(text));
  });

  test("an IPv6 host is given without its brackets", () => {
    expect(parsed("[::1]:9")).toEqual({ kind: "tcp", host: "::1", port: 9 });
  });
});

describe("what is no address is refused with what would be right", () => {
  test.each([
    ["", "HOST"],
    [":7420", "127.0.0.1:7420, or 0.0.0.0:7420 for all"],
    ["::1", "[::1]"],
    ["host:", "HOST"],
    ["host:port", "HOST"],
    ["host:65536", "0 to 65535"],
    ["host:-1", "HOST"],
    ["host:7420 ", "HOST"],
    ["ho st", "HOST"],
    ["256.1.1.1", "HOST"],
    ["127.1", "HOST"],
    ["127.0.0.01", "HOST"],
    ["1.2.3.4.5", "HOST"],
    ["a..b", "HOST"],
    [`${"a".repeat(64)}.com`, "HOST"],
    ["[::g]:1", "HOST"],
    ["[1.2.3.4]:1", "HOST"],
    ["[::1]7420", "HOST"],
    ["http://localhost:7420", "no scheme"],
    ["unix:", "unix:/PATH"],
    [`unix:/${"a".repeat(103)}`, "it has 104 bytes"],
    ["host/path", "HOST"],
    ["１２７.0.0.1", "HOST"],
  ])("%s", (text, expected) => {
    const address = parseAddress(text);
    expect(address.kind === "malformed" && address.expected).toContain(expected);
  });
});

describe("only this machine reaches", () => {
  test.each([
    "127.0.0.1",
    "127.255.0.9:1",
    "localhost",
    "LocalHost:80",
    "[::1]",
    "[0:0:0:0:0:0:0:1]:1",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f01:203]",
    "unix:/a",
  ])("%s", (text) => {
    expect(isLoopback(parsed(text))).toBe(true);
  });
});

describe("others can reach", () => {
  test.each([
    "0.0.0.0",
    "[::]",
    "10.0.0.1",
    "128.0.0.1",
    "[::2]",
    "[fe80::1]",
    "[::ffff:10.0.0.1]",
    "localhost.example.com",
    "127.0.0.1.example.com",
    "example.com",
  ])("%s", (text) => {
    expect(isLoopback(parsed(text))).toBe(false);
  });
});
