// What a command is made of. The table in commands.ts is all that help, completion and the
// reading of the command line know of a command.

import { DURATION_FORM, parseDuration } from "../../src/lock/duration.js";
import type { Output } from "./output.js";
import { UsageError } from "./usage-error.js";

/** A word of the command line that is told by its place. */
export interface Positional {
  /** As help shows it, e.g. `LEASE_ID`. */
  readonly name: string;
  readonly describe: string;
  readonly isOptional?: boolean;
  /** May be given several times; for the last one. */
  readonly isRepeatable?: boolean;
  /** The only words allowed. */
  readonly choices?: readonly string[];
}

/** An option. */
export interface Option {
  /** Without its dashes. */
  readonly name: string;
  readonly short?: string;
  readonly describe: string;
  /** What help shows for the value; an option without one is a yes. */
  readonly value?: string;
  /** May be given several times. */
  readonly isRepeatable?: boolean;
  /** The only values allowed. */
  readonly choices?: readonly string[];
  /** With it, a command that runs another command runs none. */
  readonly isInsteadOfCommand?: boolean;
}

/** A line that can be typed as it stands, and what it does. */
export interface Example {
  readonly line: string;
  readonly tells: string;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly positionals: readonly Positional[];
  readonly options: readonly Option[];
  /** What comes after its own words is a command to run: it is not read as options of ours. */
  readonly runsCommand?: boolean;
  readonly examples: readonly [Example, Example];
  /** What else help says: exit codes, for the most part. */
  readonly notes: string;
  /** The code that runs it, which may have to be loaded. */
  readonly load: () => Run | Promise<Run>;
}

/** What a command gets of the world. */
export interface Scene {
  readonly output: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a descriptor is a terminal. */
  readonly isTerminal: (fd: number) => boolean;
  /**
   * Makes the signals that ask a process to end abort the returned signal, instead of ending it
   * at once. The process dies by them when the command then throws.
   */
  readonly untilStopped: () => AbortSignal;
}

/**
 * Runs a command.
 * @returns the exit code, or the signal by which the process is to die
 */
export type Run = (words: Words, scene: Scene) => Promise<number | NodeJS.Signals>;

/** What was typed, checked against the command's table. */
export class Words {
  readonly #positionals: ReadonlyMap<string, readonly string[]>;
  readonly #options: ReadonlyMap<string, readonly string[]>;
  /** The command to run and its arguments, where a command runs one and it was given. */
  readonly rest: readonly string[] | undefined;

  constructor(
    positionals: ReadonlyMap<string, readonly string[]>,
    options: ReadonlyMap<string, readonly string[]>,
    rest?: readonly string[],
  ) {
    this.#positionals = positionals;
    this.#options = options;
    this.rest = rest;
  }

  /** A positional that is not optional. */
  positional(name: string): string {
    const word = this.#positionals.get(name)?.[0];
    if (word === undefined) throw new UsageError(`${name} is missing`);
    return word;
  }

  /** A positional that may have been left out. */
  optionalPositional(name: string): string | undefined {
    return this.#positionals.get(name)?.[0];
  }

  /** All words of a positional that may be repeated. */
  all(name: string): readonly string[] {
    return this.#positionals.get(name) ?? [];
  }

  /** Whether an option was given. */
  has(name: string): boolean {
    return this.#options.has(name);
  }

  /** The value of an option; undefined when it was not given. */
  value(name: string): string | undefined {
    return this.#options.get(name)?.[0];
  }

  /** All values of an option that may be repeated. */
  values(name: string): readonly string[] {
    return this.#options.get(name) ?? [];
  }

  /** The milliseconds of an option's value. */
  durationMs(name: string): number | undefined {
    const text = this.value(name);
    if (text === undefined) return undefined;
    const ms = parseDuration(text);
    if (ms !== undefined) return ms;
    const hint = /^[0-9]+$/u.test(text) ? `; did you mean ${text}s?` : "";
    throw new UsageError(
      `--${name} ${JSON.stringify(text)} is no duration: give ${DURATION_FORM}${hint}`,
    );
  }
}
