import type { Backend } from "../backend.js";

/**
 * Watches a store for hints, if it has any. An adapter may be a stranger's, and hints are never
 * needed: what it throws costs the hints, and nothing else. Those who wait ask by their own clocks.
 * @returns what ends it; harmless however often
 */
export function watchFor(
  backend: Backend,
  mayBeFree: (resource: string | undefined) => void,
): () => void {
  let stop: (() => void) | undefined;
  try {
    stop = backend.watch?.(mayBeFree);
  } catch {
    // No hints, then.
  }
  return () => {
    const once = stop;
    stop = undefined;
    try {
      once?.();
    } catch {
      // It may go on giving hints: they are taken for what they are.
    }
  };
}
