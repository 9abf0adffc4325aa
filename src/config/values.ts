// What single values have to look like, wherever they come from.

import { resolve } from "node:path";
import { ADDRESS_FORM, formatAddress, parseAddress } from "../lock/address.js";
import { DURATION_FORM, parseDuration } from "../lock/duration.js";
import { LockError } from "../lock/errors.js";
import { checkPrincipal } from "../lock/limits.js";
import { quoted } from "./secrets.js";

/** A value that was understood, or words for what would be right. */
export type Reading<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "wrong"; readonly expected: string };

/** Understands a value; relative paths in it are relative to the folder. */
export type Reader<T> = (value: unknown, folder: string) => Reading<T>;

export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

function right<T>(value: T): Reading<T> {
  return { kind: "value", value };
}

function wrong(expected: string): { kind: "wrong"; expected: string } {
  return { kind: "wrong", expected };
}

export const readDuration: Reader<number> = (value) => {
  const ms = typeof value === "string" ? parseDuration(value) : undefined;
  if (ms === undefined) return wrong(DURATION_FORM);
  return ms > 0 ? right(ms) : wrong("more than nothing");
};

export const readPrincipal: Reader<string> = (value) => {
  const expected = "a name of 1 to 256 bytes without control characters";
  if (typeof value !== "string" || value === "") return wrong(expected);
  try {
    return right(checkPrincipal(value));
  } catch (error) {
    if (error instanceof LockError) return wrong(expected);
    throw error;
  }
};

export const readName: Reader<string> = (value) =>
  typeof value === "string" && value !== "" ? right(value) : wrong("a name");

export const readPath: Reader<string> = (value, folder) =>
  typeof value === "string" && value !== "" && !value.includes("\0")
    ? right(resolve(folder, value))
    : wrong("the path of a file");

/** A yes or no; as a text too, since variables and the older form have nothing else. */
export const readFlag: Reader<boolean> = (value) => {
  if (value === true || value === "true") return right(true);
  if (value === false || value === "false") return right(false);
  return wrong("true or false");
};

export const readLogLevel: Reader<LogLevel> = (value) => {
  const level = LOG_LEVELS.find((candidate) => candidate === value);
  return level === undefined ? wrong(LOG_LEVELS.join(", ")) : right(level);
};

/** Addresses to listen on: a list, or a text with commas. */
export const readListenAddresses: Reader<readonly string[]> = (value, folder) =>
  readAddresses(value, folder, "listen");

/** Addresses of daemons to ask. */
export const readServerAddresses: Reader<readonly string[]> = (value, folder) =>
  readAddresses(value, folder, "ask");

function readAddresses(
  value: unknown,
  folder: string,
  purpose: "listen" | "ask",
): Reading<readonly string[]> {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  const texts: string[] = [];
  for (const item of items) {
    if (typeof item !== "string") return wrong(ADDRESS_FORM);
    texts.push(...item.split(",").map((text) => text.trim()));
  }
  if (texts.length === 0) return wrong(`at least one address: ${ADDRESS_FORM}`);
  const addresses: string[] = [];
  for (const text of texts) {
    const written = parseAddress(text);
    // Only when the path is whole is it known whether it fits.
    const address =
      written.kind === "unix" ? parseAddress(`unix:${resolve(folder, written.path)}`) : written;
    if (address.kind === "malformed") {
      const which = texts.length > 1 ? ` in place of ${quoted(text)}` : "";
      return wrong(`${address.expected}${which}`);
    }
    if (address.kind === "tcp" && address.port === 0 && purpose === "ask") {
      return wrong("a port from 1 to 65535");
    }
    addresses.push(formatAddress(address));
  }
  return right(addresses);
}
