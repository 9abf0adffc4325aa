// Who chases processes that start others at full speed is there soon, or not in time.
const MOST_ROUNDS = 50;
// More than this have not begun in so short a time: the numbers are given in another way here.
const MOST_NUMBERS = 20_000;

/**
 * Looks at every process that began after `since` was the last number that had been given, and
 * at those that began meanwhile, until there are none.
 *   N1. The last number is read before the processes are looked at. It has moved if another one
 *       has begun by the time that they have been.
 *   N2. A number is given before its process can be seen, so each is looked at in two rounds.
 *       Whoever could not be seen in the first one was being started just then, by somebody who
 *       could be. In the second one he is there, or has started another one and is gone: that
 *       one's number is later.
 * @param lastPid nothing where it is not known: then there is nothing to go by
 * @param isOurs looks at one of them, which may be gone
 * @returns whether none is ours, and none can have been missed
 */
export function noneBegan(
  since: number | undefined,
  lastPid: () => number | undefined,
  isOurs: (pid: number) => boolean,
): boolean {
  if (since === undefined) return true;
  let isNone = true;
  let [before, seen] = [since, since];
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const last = lastPid(); // N1
    if (last === seen) return isNone;
    // Else the numbers have begun anew: whoever looks again looks beyond that.
    if (last === undefined || last < seen || last - before > MOST_NUMBERS) return false;
    // The latest one first, since it is the likeliest to be alive.
    for (let pid = last; pid > before; pid--) if (isOurs(pid)) isNone = false;
    [before, seen] = [seen, last]; // N2
  }
  return false;
}
