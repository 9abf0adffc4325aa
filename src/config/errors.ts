/** One thing that is wrong with the configuration, and what would be right. */
export interface Complaint {
  /** The file that says it; undefined for a flag, a variable and the environment. */
  readonly file?: string | undefined;
  /** The line in the file, from 1. */
  readonly line?: number | undefined;
  /** What is wrong: `[default] ttl`, `STORMLOCK_TTL`, `--ttl`. */
  readonly key: string;
  /** What was found there, never a secret. */
  readonly found: string;
  /** What would be right. */
  readonly expected: string;
  /** What was probably meant. */
  readonly suggestion?: string | undefined;
  /** The mistake is on the command line, not in the configuration. */
  readonly isUsage?: boolean;
}

/** A complaint in one line: `FILE:LINE: KEY: found FOUND; expected EXPECTED`. */
export function complaintText(complaint: Complaint): string {
  const { file, line, key, found, expected, suggestion } = complaint;
  const place =
    file === undefined ? "" : line === undefined ? `${file}: ` : `${file}:${String(line)}: `;
  const right = suggestion === undefined ? `expected ${expected}` : `did you mean ${suggestion}?`;
  return `${place}${key}: found ${found}; ${right}`;
}

/** The configuration cannot be used. The message has one line for every complaint. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly complaints: readonly Complaint[];

  constructor(complaints: readonly Complaint[], cause?: unknown) {
    super(complaints.map(complaintText).join("\n"), cause === undefined ? undefined : { cause });
    this.complaints = complaints;
  }

  /** Whether the command line alone is to blame. */
  get isUsage(): boolean {
    return this.complaints.every((complaint) => complaint.isUsage === true);
  }
}

/** What is configured cannot be had, as turned out only when it was tried. */
export class UnusableConfigError extends Error {
  override readonly name = "UnusableConfigError";
}
