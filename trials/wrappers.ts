// The programs that run a command under a lock, and how each is asked to.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { FaultName } from "./faults.js";
import type { StoreName } from "./stores.js";

export const PROGRAM = resolve("dist/stormlock.cjs");

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
  /** The shortest that it can do, or 2 s. */
  readonly ttlMs: number;
  /** How long, beyond the ttl, whoever waits may wait before a trial is given up. */
  readonly servedWithinMs: number;
  /** How long the first command lives when nobody ends it: beyond both together. */
  readonly holderLivesS: number;
  /** What it says when it waits; nothing when it says nothing. */
  readonly waits?: RegExp;
  argv(place: Place): readonly string[];
}

const TTL_MS = 2000;
// On a machine that has better things to do than this.
const PATIENT = { ttlMs: TTL_MS, servedWithinMs: 20_000, holderLivesS: 60 };
const BRIEF = { ttlMs: TTL_MS, servedWithinMs: 4000, holderLivesS: 9 };

const stormlock: Wrapper = {
  ...PATIENT,
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
  ...BRIEF,
  ...{ name: "flock", isOurs: false, hasLease: false, asksDaemons: false, stores: ["embedded"] },
  faults: ["wrapper-stop", "wrapper-kill", "wrapper-hup"],
  argv: ({ resource, folder, command }) => ["flock", join(folder, resource), ...command],
};

const etcdctl: Wrapper = {
  ...BRIEF,
  ...{ name: "etcdctl", isOurs: false, hasLease: true, asksDaemons: false, stores: ["etcd"] },
  faults: ["wrapper-stop", "wrapper-kill", "wrapper-hup", "packets-drop", "store-stop"],
  argv: ({ resource, server, ttlMs, command }) => [
    ...["etcdctl", "--endpoints", server, "lock", "--ttl", String(Math.ceil(ttlMs / 1000))],
    ...[resource, ...command],
  ],
};

// Its sessions have 15 s, end by themselves within twice that, and keep their lock from others for
// 15 s more (its defaults, which the command has no flags for).
const consul: Wrapper = {
  ...{ name: "consul", isOurs: false, hasLease: true, asksDaemons: false, stores: ["consul"] },
  ...{ ttlMs: 15_000, servedWithinMs: 45_000, holderLivesS: 90 },
  faults: ["wrapper-stop", "wrapper-kill", "wrapper-hup", "packets-drop", "store-stop"],
  argv: ({ resource, server, command }) => [
    ...["consul", "lock", "-http-addr", `http://${server}`, resource, ...command],
  ],
};

const KNOWN = [stormlock, flock, etcdctl, consul];

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
    ...BRIEF,
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
    ...(has("consul", "version") ? [consul] : []),
  ];
}
