import type { HostMoment } from "./host-time.js";
import type { OwnFile } from "./own-files.js";
import type { ProcessId } from "./process-table.js";

/** What the wrapper says to its guardian. */
export type ToGuardian =
  /** Watch over a command that is about to start. Answered by "guarding". */
  | {
      readonly say: "guard";
      readonly marker: string;
      readonly graceMs: number;
      readonly deadline: HostMoment;
      /** Whether the deadline ends the command, or only the wrapper's death does. */
      readonly endsAtDeadline: boolean;
      readonly leadsSession: boolean;
    }
  /** Remove these files so long before the deadline, and when the wrapper dies. Answered by "guarding". */
  | {
      readonly say: "guard-files";
      readonly files: readonly OwnFile[];
      readonly leadMs: number;
      readonly deadline: HostMoment;
    }
  /** The command runs. */
  | ({ readonly say: "child" } & ProcessId)
  /** Another deadline. Answered by "seen". */
  | { readonly say: "deadline"; readonly count: number; readonly deadline: HostMoment }
  /** The command has been asked to end: kill it after the grace, or at the deadline if sooner. */
  | { readonly say: "asked" }
  /** Nothing is left to guard. */
  | { readonly say: "done" };

/** What the guardian says to its wrapper. */
export type FromGuardian =
  | { readonly say: "guarding" }
  | { readonly say: "seen"; readonly count: number }
  /** The command has been asked to end, or the files are removed: it was due. */
  | { readonly say: "terminating" };

/** One message, a line of JSON. */
export function toLine(message: ToGuardian | FromGuardian): string {
  return `${JSON.stringify(message)}\n`;
}

/** Makes messages of a stream's pieces. Both ends are ours, so a line is what it claims to be. */
export class LineReader<Message> {
  #rest = "";

  /** @returns the messages that the piece completes */
  read(piece: string): Message[] {
    const lines = (this.#rest + piece).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.map((line) => JSON.parse(line) as Message);
  }
}
