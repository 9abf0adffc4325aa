// `${NAME}` in a text stands for an environment variable, `$${NAME}` for itself.

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Substituted {
  readonly value: unknown;
  /** The variables that are not set. */
  readonly missing: readonly string[];
  readonly isSubstituted: boolean;
}

/** Puts the variables into every text of a value, at whatever depth. */
export function substitute(value: unknown, env: Environment): Substituted {
  const missing = new Set<string>();
  let isSubstituted = false;

  const inText = (text: string): string =>
    text.replace(/(\$?)\$\{(\w+)\}/gu, (whole, escape: string, name: string) => {
      if (escape !== "") return whole.slice(1);
      const found = env[name];
      if (found === undefined) missing.add(name);
      isSubstituted = true;
      return found ?? "";
    });

  const inside = (part: unknown): unknown => {
    if (typeof part === "string") return inText(part);
    if (Array.isArray(part)) return part.map(inside);
    if (typeof part === "object" && part !== null && !(part instanceof Date)) {
      return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, inside(inner)]));
    }
    return part;
  };

  return { value: inside(value), missing: Array.from(missing), isSubstituted };
}
