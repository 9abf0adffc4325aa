// Reading what the hammering processes believed.

/** One line of a log: a lease's beginning, or a new end of the one with the same id. */
export interface Belief {
  readonly id: string;
  readonly resource?: string;
  readonly token?: string;
  readonly fromMs?: number;
  /** By the holder's own reckoning: from before it asked, or just before it asked to release. */
  readonly untilMs: number;
}

export interface Holding {
  readonly resource: string;
  readonly token: bigint;
  readonly fromMs: number;
  untilMs: number;
}

/** The last line may have been cut by a kill. */
export function holdings(log: string): Holding[] {
  const found = new Map<string, Holding>();
  for (const line of log.split("\n").slice(0, -1)) {
    const { id, resource, token, fromMs, untilMs } = JSON.parse(line) as Belief;
    const holding = found.get(id);
    if (holding !== undefined) holding.untilMs = untilMs;
    else if (resource !== undefined && token !== undefined && fromMs !== undefined)
      found.set(id, { resource, token: BigInt(token), fromMs, untilMs });
  }
  return [...found.values()];
}

/** Every two leases of one resource that were held at one time, or whose tokens do not grow. */
export function contradictions(all: readonly Holding[]): string[] {
  const sorted = [...all].sort((a, b) => (a.token < b.token ? -1 : a.token > b.token ? 1 : 0));
  const last = new Map<string, Holding>();
  const found: string[] = [];
  for (const holding of sorted) {
    const before = last.get(holding.resource);
    last.set(holding.resource, holding);
    if (before === undefined) continue;
    const pair = `${holding.resource}: ${JSON.stringify([before, holding], shown)}`;
    if (before.token === holding.token) found.push(`one token twice: ${pair}`);
    if (holding.fromMs < before.untilMs) found.push(`held twice, or tokens fell: ${pair}`);
  }
  return found;
}

function shown(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
