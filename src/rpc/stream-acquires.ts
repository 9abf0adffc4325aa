import type { HolderSays } from "../lock/hold.js";
import type { Admission } from "./admission.js";

type Says<Kind extends HolderSays["kind"]> = Extract<HolderSays, { kind: Kind }>;

export interface StreamAcquiresOptions {
  readonly admission: Admission;
  readonly begin: (acquire: Says<"acquire">) => void;
  readonly refuse: (acquire: Says<"acquire">) => void;
  readonly isOver: () => boolean;
}

/**
 * The acquires of one Hold stream, in the same line as those of all doors. What else comes on the
 * stream passes them: a release that does so takes its acquire out of the line, or that would be
 * granted after it.
 */
export class StreamAcquires {
  readonly #options: StreamAcquiresOptions;
  // Those that were neither begun nor refused at once, by their lease.
  readonly #inLine = new Map<string, Says<"acquire">>();

  constructor(options: StreamAcquiresOptions) {
    this.#options = options;
  }

  /** How many stand in line. */
  get waiting(): number {
    return this.#inLine.size;
  }

  enter(acquire: Says<"acquire">): void {
    const { admission, begin, refuse, isOver } = this.#options;
    const name = nameOf(acquire);
    const place = { isSettled: false, isInLine: false };
    const hasLeft = (): boolean => place.isInLine && this.#inLine.get(name) !== acquire;
    const settled = (end: (acquire: Says<"acquire">) => void) => (): void => {
      place.isSettled = true;
      if (place.isInLine) this.#inLine.delete(name);
      end(acquire);
    };
    admission.enter({
      begin: settled(begin),
      refuse: settled(refuse),
      isGone: () => isOver() || hasLeft(),
    });
    if (place.isSettled) return;
    place.isInLine = true;
    this.#inLine.set(name, acquire);
  }

  /** The holder no longer wants it. */
  leave(release: Says<"release">): void {
    if (this.#inLine.size > 0) this.#inLine.delete(nameOf(release));
  }
}

// One text for both: a lease id has no spaces.
function nameOf({ resource, leaseId }: Says<"acquire" | "release">): string {
  return `${leaseId} ${resource}`;
}
