// The rules for resources, from the file and from what overrides it.

import { formatDuration } from "../lock/duration.js";
import { DEFAULT_RULE, type Rule, type Section } from "../lock/policy.js";
import { headerOf, type Dialect } from "./document.js";
import type { Complaint } from "./errors.js";
import type { FileConfig } from "./file-config.js";
import { blame, type Origins } from "./origin.js";

export interface Rules {
  readonly fallback: Partial<Rule>;
  readonly sections: readonly Section[];
}

/** The file's rules, with what was given otherwise in the place of every section's word. */
export function rulesOf(
  file: Pick<FileConfig, "dialect" | "fallback" | "sections"> | undefined,
  given: Partial<Pick<Rule, "ttlMs" | "principal" | "backend">>,
): Rules {
  const dialect = file?.dialect ?? "toml";
  const fallback = roomy(dialect, { ...file?.fallback, ...given });
  const sections = (file?.sections ?? []).map(({ pattern, rule }) => {
    const own = { ...rule };
    if (given.principal !== undefined) delete own.principal;
    if (given.backend !== undefined) delete own.backend;
    return { pattern, rule: roomy(dialect, own) };
  });
  return { fallback, sections };
}

// The older tool knew no longest ttl: there a long one is its own limit.
function roomy(dialect: Dialect, rule: Partial<Rule>): Partial<Rule> {
  const { ttlMs = 0, maxTtlMs } = rule;
  if (dialect !== "ini" || maxTtlMs !== undefined || ttlMs <= DEFAULT_RULE.maxTtlMs) return rule;
  return { ...rule, maxTtlMs: ttlMs };
}

/** What does not fit together in the ttls. */
export function limitComplaints(
  { fallback, sections }: Rules,
  dialect: Dialect,
  origins: Origins,
): readonly Complaint[] {
  const base = { ...DEFAULT_RULE, ...fallback };
  const complaints = ttlComplaints(base, fallback, "[default]", origins);
  for (const { pattern, rule } of sections) {
    if ((rule.ttlMs ?? rule.minTtlMs ?? rule.maxTtlMs) === undefined) continue;
    const header = headerOf(dialect, { kind: "resource", name: pattern });
    complaints.push(...ttlComplaints({ ...base, ...rule }, rule, header, origins));
  }
  return complaints;
}

function ttlComplaints(
  whole: Rule,
  own: Partial<Rule>,
  header: string,
  origins: Origins,
): Complaint[] {
  const complain = (key: string, foundMs: number, expected: string): Complaint[] => [
    { ...blame(`${header} ${key}`, origins), found: formatDuration(foundMs), expected },
  ];
  const { ttlMs, minTtlMs, maxTtlMs } = whole;
  const [ttl, least, most] = [ttlMs, minTtlMs, maxTtlMs].map(formatDuration);
  if (minTtlMs > maxTtlMs) {
    return own.minTtlMs === undefined
      ? complain("max_ttl", maxTtlMs, `no less than min_ttl, which is ${String(least)}`)
      : complain("min_ttl", minTtlMs, `no more than max_ttl, which is ${String(most)}`);
  }
  if (ttlMs > maxTtlMs) {
    return own.ttlMs === undefined
      ? complain(
          "max_ttl",
          maxTtlMs,
          `no less than the ttl here, which is ${String(ttl)}, or another ttl`,
        )
      : complain("ttl", ttlMs, `no more than max_ttl, which is ${String(most)}`);
  }
  if (ttlMs < minTtlMs) {
    return own.ttlMs === undefined
      ? complain(
          "min_ttl",
          minTtlMs,
          `no more than the ttl here, which is ${String(ttl)}, or another ttl`,
        )
      : complain("ttl", ttlMs, `no less than min_ttl, which is ${String(least)}`);
  }
  return [];
}
