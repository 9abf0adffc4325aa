// The programs that run a command under a lock, and how each is asked to.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { FaultName } from "./faults.js";
import type { StoreName } from "./stores.js";

export const PROGRAM = resolve("dist/stormlock.js");

/** What a wrapper is started for. */
export interface Place {
  readonly resource: string;
  /** The server that it is to ask. */
  readonly server: string;
  /** Where files may be made. */
  readonly folder: string;
  readonly ttlMs: number;
  readonly command: readonly string[];
}

export interface Wrapper {
  readonly name: string;
  /** Ours: what it does wrong is a failure, what others do is told. */
  readonly isOurs: boolean;
  /** Whether its lock ends by itself when the holder is not heard of. */
  readonly hasLease: boolean;
  /** Whether it asks our daemons; the others ask the store itself. */
  readonly asksDaemons: boolean;
  /** The stores that it knows; the first is taken unless one is asked for. */
  readonly stores: readonly StoreName[];
  readonly faults: readonly FaultName[];
  /** What it says when it waits; nothing when it says nothing. */
  readonly waits?: RegExp;
  argv(place: Place): readonly string[];
}

const stormlock: Wrapper = {
  ...{ name: "stormlock", isOurs: true, hasLease: true, asksDaemons: true },
  stores: ["embedded", "postgresql", "redis", "etcd"],
  faults: [
    ...(["wrapper-stop", "wrapper-kill", "wrapper-hup", "loop-block"] as const),
    ...(["daemon-stop", "daemon-kill", "packets-drop", "store-stop"] as const),
  ],
  waits: /waiting for/u,
  argv: ({ resource, server, ttlMs, command }) => [
    ...[process.execPath, PROGRAM, "hold", resource],
    ...["--server", server, "--ttl", `${String(ttlMs)}ms`, "--", ...command],
  ],
};

const flock: Wrapper = {
  ...{ name: "flock", isOurs: false, hasLease: false, asksDaemons: false, stores: ["embedded"] },
  faults: ["wrapper-stop", "wrapper-kill", "wrapper-hup"],
  argv: ({ resource, folder, command }) => ["flock", join(folder, resource), ...command],
};

const etcdctl: Wrapper = {
  ...{ name: "etcdctl", isOurs: false, hasLease: true, asksDaemons: false, stores: ["etcd"] },
  faults: ["wrapper-stop", "wrapper-kill", "wrapper-hup", "packets-drop", "store-stop"],
  argv: ({ resource, server, ttlMs, command }) => [
    ...["etcdctl", "--endpoints", server, "lock", "--ttl", String(Math.ceil(ttlMs / 1000))],
    ...[resource, ...command],
  ],
};

const KNOWN = [stormlock, flock, etcdctl];

/** One by its name, or any program that takes `PROGRAM RESOURCE COMMAND...`, by its path. */
export function wrapperOf(name: string): Wrapper {
  const known = KNOWN.find((each) => each.name === name);
  if (known !== undefined) return known;
  const path = resolve(name);
  if (!existsSync(path)) {
    const names = KNOWN.map((each) => each.name).join(", ");
    throw new Error(`--wrapper ${name}: give ${names}, or the path of a program`);
  }
  return {
    ...{ name, isOurs: true, hasLease: true, asksDaemons: false, stores: ["embedded"] },
    faults: ["wrapper-stop", "wrapper-kill", "wrapper-hup"],
    argv: ({ resource, folder, command }) => [path, join(folder, resource), ...command],
  };
}

/** The other wrappers that are installed here. */
export function installedPeers(): Wrapper[] {
  const has = (program: string, flag: string): boolean =>
    spawnSync(program, [flag], { stdio: "ignore" }).status === 0;
  return [
    ...(has("flock", "--version") ? [flock] : []),
    ...(has("etcdctl", "version") && has("etcd", "--version") ? [etcdctl] : []),
  ];
}
