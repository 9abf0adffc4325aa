import type { StoreKind } from "../test/support/stores.js";
import type { Plot } from "./plot.js";

/** What is measured together, and has a place of its own in docs/performance.md. */
export interface Section {
  /** What `--only` and the marks on the page call it. */
  readonly name: string;
  /** One line for the help. */
  readonly what: string;
  measure(run: Run): Promise<Measured>;
}

/** How it is to be measured. */
export interface Run {
  /** Whether it works, not how fast it is: as short as that takes. */
  readonly isQuick: boolean;
  /** The stores that are wanted, and are on this machine. */
  readonly stores: readonly StoreKind[];
  /** Tells the reader how far it has come. */
  readonly tell: (text: string) => void;
  /** The path of a program of ours that runs as a process of its own, e.g. "unary/programs/load". */
  readonly program: (name: string) => string;
}

export interface Measured {
  /** The tables. Ratios first: absolute figures belong to the machine. */
  readonly markdown: string;
  /** All of it, for programs. */
  readonly figures: unknown;
  /** What is drawn of it, in docs/performance/, named after the section. */
  readonly plot?: Plot;
}
