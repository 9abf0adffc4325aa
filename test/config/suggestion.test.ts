import { expect, test } from "vitest";
import { suggest } from "../../src/config/suggestion.js";

const KEYS = ["ttl", "min_ttl", "max_ttl", "principal", "backend", "server", "ca", "cert", "key"];

test.each([
  ["tll", "ttl"],
  ["tt", "ttl"],
  ["TTL", "ttl"],
  ["max-ttl", "max_ttl"],
  ["mx_ttl", "max_ttl"],
  ["principle", "principal"],
  ["bakcend", "backend"],
  ["sever", "server"],
  ["kye", "key"],
])("%s was probably meant as %s", (word, meant) => {
  expect(suggest(word, KEYS)).toBe(meant);
});

test.each(["", "x", "colour", "timeout", "zz", "listen"])("nothing is near %j", (word) => {
  expect(suggest(word, KEYS)).toBeUndefined();
});
