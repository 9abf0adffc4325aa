// A main container beside the sidecar: works while its pod is the leader, and not a moment longer.
import { setTimeout as sleep } from "node:timers/promises";

const nowMs = () => Number(process.hrtime.bigint() / 1_000_000n);

// As process 1 of its container a program that does not listen for SIGTERM never gets it.
process.once("SIGTERM", () => process.exit(0));

// An answer counts for `valid_for_ms` from before it was asked for, whatever becomes of the sidecar
// meanwhile. When nobody answers there is nothing to rely on.
async function leadership() {
  const askedAtMs = nowMs();
  try {
    const answer = await fetch("http://127.0.0.1:7430/held", { signal: AbortSignal.timeout(1000) });
    const { held, token, valid_for_ms: validForMs } = await answer.json();
    return held ? { token, untilMs: askedAtMs + validForMs } : undefined;
  } catch {
    return undefined;
  }
}

let leading;
for (;;) {
  const was = leading?.token;
  leading = await leadership();
  if (leading !== undefined && leading.token !== was) console.log(`leader, token ${leading.token}`);
  if (leading === undefined && was !== undefined) console.log("leader no more");
  // One short step of work. The time is asked for right before; the token goes along with whatever
  // is written, for those who receive it to refuse an older one.
  const atMs = nowMs();
  if (leading !== undefined && atMs < leading.untilMs)
    console.log(`${atMs} token ${leading.token}`);
  await sleep(200);
}
