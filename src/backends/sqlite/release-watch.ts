import type { Store } from "./store.js";

// How soon a waiter hears of a release in another process. Looking costs microseconds.
const WATCH_EVERY_MS = 50;

/** Tells of releases in other processes, until the returned function is called. */
export function watchReleases(store: Store, onReleased: () => void): () => void {
  const look = (): void => {
    try {
      if (store.othersReleased()) onReleased();
    } catch {
      // A hint is lost; whoever asks a question will be told what is wrong.
    }
  };
  look();
  const watching = setInterval(look, WATCH_EVERY_MS);
  return () => {
    clearInterval(watching);
  };
}
