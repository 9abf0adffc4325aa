/** What applies to a resource. */
export interface Rule {
  /** The name of the backend that keeps its leases. */
  readonly backend: string;
  /** The ttl of a lease that was asked for without one. */
  readonly ttlMs: number;
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  /** Who holds a lease that was asked for without saying. */
  readonly principal: string;
}

/** What one section of the configuration says of the resources that its pattern names. */
export interface Section {
  /** A resource's name, or a pattern in which `*` stands for any characters, none included. */
  readonly pattern: string;
  readonly rule: Partial<Rule>;
}

const SECOND_MS = 1000;
const DAY_MS = 24 * 60 * 60 * SECOND_MS;

/** What applies where nothing is configured. People lock for days: hence the maximum. */
export const DEFAULT_RULE: Rule = {
  backend: "default",
  ttlMs: 60 * SECOND_MS,
  minTtlMs: SECOND_MS,
  maxTtlMs: 31 * DAY_MS,
  principal: "anonymous",
};

/** Which rule applies to which resource: an exact name wins, then the longest pattern. */
export class Policy {
  readonly #fallback: Rule;
  readonly #exact = new Map<string, Rule>();
  readonly #patterns: { readonly matches: (resource: string) => boolean; readonly rule: Rule }[] =
    [];

  constructor(fallback: Partial<Rule> = {}, sections: readonly Section[] = []) {
    this.#fallback = { ...DEFAULT_RULE, ...fallback };
    const longestFirst = [...sections].sort((a, b) => b.pattern.length - a.pattern.length);
    for (const { pattern, rule } of longestFirst) {
      const whole = { ...this.#fallback, ...rule };
      if (pattern.includes("*")) this.#patterns.push({ matches: toMatcher(pattern), rule: whole });
      else this.#exact.set(pattern, whole);
    }
  }

  for(resource: string): Rule {
    const exact = this.#exact.get(resource);
    if (exact !== undefined) return exact;
    for (const { matches, rule } of this.#patterns) if (matches(resource)) return rule;
    return this.#fallback;
  }
}

// Every part between stars is looked for from left to right, and the first place where it
// fits is taken: unlike a regular expression this never goes back, so no pattern is slow.
function toMatcher(pattern: string): (resource: string) => boolean {
  const [head = "", ...inner] = pattern.split("*");
  const tail = inner.pop() ?? "";
  return (resource) => {
    if (!resource.startsWith(head)) return false;
    let from = head.length;
    for (const part of inner) {
      const at = resource.indexOf(part, from);
      if (at < 0) return false;
      from = at + part.length;
    }
    return resource.length - tail.length >= from && resource.endsWith(tail);
  };
}
