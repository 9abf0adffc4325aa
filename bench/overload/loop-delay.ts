// The daemon's own word for how late its event loop is, between two looks.

const NAME = "stormlock_event_loop_delay_seconds_bucket";

/** How often it was late by at most so many seconds, by its metrics. */
export type Delays = ReadonlyMap<number, number>;

/** @throws when the daemon does not answer */
export async function delaysOf(address: string): Promise<Delays> {
  const answer = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(10_000) });
  const text = await answer.text();
  const found = text.matchAll(new RegExp(`^${NAME}\\{le="([^"]+)"\\} (\\d+)$`, "gmu"));
  return new Map(
    [...found].map(([, le = "", count = ""]) => [
      le === "+Inf" ? Infinity : Number(le),
      Number(count),
    ]),
  );
}

/** The bucket, in milliseconds, within which this share of the looks between the two were. */
export function delayWithinMs(before: Delays, after: Delays, share: number): number {
  const buckets = [...after].map(([le, count]) => [le, count - (before.get(le) ?? 0)] as const);
  const all = buckets.find(([le]) => le === Infinity)?.[1] ?? 0;
  const [within = NaN] = buckets.find(([, count]) => count >= share * all) ?? [];
  return within * 1000;
}
