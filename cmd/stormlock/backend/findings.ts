// What is found out about backends, as lines for people and as JSON for programs.

import { LockError } from "../../../src/lock/errors.js";
import { ExitCode } from "../exit-code.js";
import type { Output } from "../output.js";

/** How bad it is; what is wrong with the configuration cannot be mended elsewhere. */
export type Level = "ok" | "warning" | "unusable" | "misconfigured";

export interface Finding {
  readonly level: Level;
  /** A stable word for what was tried, such as "renew". */
  readonly step: string;
  readonly message: string;
  /** How long it took. */
  readonly ms?: number;
}

interface Report {
  readonly name: string;
  readonly type: string;
  readonly findings: Finding[];
}

/** Collects findings; people see each at once. */
export class Findings {
  readonly #output: Output;
  readonly #reports: Report[] = [];

  constructor(output: Output) {
    this.#output = output;
  }

  /** What follows is about this backend. */
  begin({ name, type }: { readonly name: string; readonly type: string }): void {
    this.#reports.push({ name, type, findings: [] });
  }

  add(finding: Finding): void {
    const report = this.#reports.at(-1);
    const { ms } = finding;
    report?.findings.push(
      ms === undefined ? finding : { ...finding, ms: Math.round(ms * 10) / 10 },
    );
    if (this.#output.isJson || report === undefined) return;
    const { level, message } = finding;
    const time = ms === undefined ? "" : ` (${ms.toFixed(1)} ms)`;
    this.#output.result(
      `${report.name}: ${level}: ${message.replaceAll(/\s*\n\s*/gu, "; ")}${time}\n`,
    );
  }

  /** What stopped a step. */
  fail(step: string, thrown: unknown): void {
    const isMistake = thrown instanceof LockError && thrown.kind === "invalid-field";
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    this.add({ level: isMistake ? "misconfigured" : "unusable", step, message });
  }

  /** Prints what is left to print. @returns the exit code */
  end(): number {
    const levels = new Set(this.#reports.flatMap((report) => report.findings.map(levelOf)));
    if (this.#output.isJson) {
      const backends = this.#reports.map(({ name, type, findings }) => {
        const ok = findings.every(isFine);
        return { name, type, ok, findings };
      });
      this.#output.json({ ok: backends.every(({ ok }) => ok), backends });
    }
    if (levels.has("misconfigured")) return ExitCode.CONFIG;
    return levels.has("unusable") ? ExitCode.UNREACHABLE : ExitCode.OK;
  }
}

function levelOf({ level }: Finding): Level {
  return level;
}

function isFine({ level }: Finding): boolean {
  return level === "ok" || level === "warning";
}
