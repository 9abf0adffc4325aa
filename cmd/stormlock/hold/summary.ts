import { systemClock } from "../../../src/system-clock.js";
import { endingOf } from "../exit-code.js";
import type { ChildEnd } from "./child-end.js";
import { signalExitCode } from "./signals.js";
import type { Hold } from "./taken-locks.js";

/** How a hold can end. Scripts compare these words: none is ever given another meaning. */
export type HoldEnding =
  /** The command ended by itself, whatever its exit code. */
  | "exited"
  /** A signal ended the command. */
  | "signalled"
  | "not-found"
  | "not-executable"
  /** The lock was lost, whatever became of the command. */
  | "lost"
  /** No guardian could be kept alive, so the command was ended. */
  | "unguarded"
  /** A sidecar was asked to end, and has given the lock back. */
  | "released"
  /** Somebody else holds it, or the wait ran out. */
  | "not-acquired"
  /** A signal, before a command was started. */
  | "stopped"
  /** No definite answer of any daemon or store. */
  | "unreachable"
  | "not-allowed"
  /** Anything else: the error before it says what. */
  | "failed";

const EXIT_UNREACHABLE = 69;
const EXIT_NOT_ALLOWED = 77;

/** What `--json` says of a hold in the end. */
export class Summary {
  readonly #resources: readonly string[];
  readonly #tokens = new Map<string, string>();
  #ending: HoldEnding = "failed";
  #waitedMs = 0;
  #heldMs = 0;
  #sinceMs = systemClock.monotonicMs();
  #phase: "waiting" | "holding" | "neither" = "waiting";

  constructor(resources: readonly string[]) {
    this.#resources = resources;
  }

  /** Asking for the locks begins, perhaps once more. */
  waits(): void {
    this.#turn("waiting");
  }

  /** All are held. */
  holds(holds: readonly Hold[]): void {
    this.#turn("holding");
    for (const { resource, token } of holds) this.#tokens.set(resource, String(token));
  }

  /** Neither waited for nor held any more. The first ending that is told counts. */
  ends(ending: HoldEnding): void {
    if (this.#phase === "neither") return;
    this.#turn("neither");
    this.#ending = ending;
  }

  /** It turns out only now that the lock had been lost while it was held, or meant to be. */
  turnsOutLost(): void {
    this.#ending = "lost";
  }

  /** It was ended by an error. */
  fails(thrown: unknown): void {
    const { code } = endingOf(thrown);
    if (code === EXIT_UNREACHABLE) this.ends("unreachable");
    else this.ends(code === EXIT_NOT_ALLOWED ? "not-allowed" : "failed");
  }

  /** @param way the exit code, or the signal by which the process will die */
  json(way: number | NodeJS.Signals): object {
    return {
      locks: this.#resources.map((resource) => {
        const token = this.#tokens.get(resource);
        return token === undefined ? { resource } : { resource, token };
      }),
      waited_ms: Math.round(this.#waitedMs),
      held_ms: Math.round(this.#heldMs),
      ended: this.#ending,
      exit_code: typeof way === "number" ? way : signalExitCode(way),
    };
  }

  #turn(phase: "waiting" | "holding" | "neither"): void {
    const nowMs = systemClock.monotonicMs();
    if (this.#phase === "waiting") this.#waitedMs += nowMs - this.#sinceMs;
    if (this.#phase === "holding") this.#heldMs += nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
    this.#phase = phase;
  }
}

/** The word for a command's end. */
export function endingOfChild(end: ChildEnd): HoldEnding {
  if (end.cut !== undefined) return end.cut;
  return end.kind === "not-started" ? "lost" : end.kind;
}
