// Many locks, held by several clients with a stream each: the main container of a pod in the tests.
// Says what is granted and what is lost. At SIGTERM it says of each whether it is still held, gives
// it back, and ends.
import { connect } from "/opt/stormlock/dist/index.js";

const CLIENTS = 6;
const LOCKS_EACH = 10;
const TTL_MS = 10_000;

const servers = (process.env.STORMLOCK_SERVER ?? "").split(",");
const holds = [];

async function take(locks, name) {
  const result = await locks.hold(name, { ttlMs: TTL_MS });
  if (result.kind !== "granted") throw new Error(result.message);
  const { hold } = result;
  hold.signal.addEventListener("abort", () => console.log(`lost ${name}`));
  console.log(`granted ${name} ${hold.token}`);
  holds.push({ name, hold });
}

process.once("SIGTERM", async () => {
  for (const { name, hold } of holds)
    console.log(`${hold.isHeld ? "holds" : "does not hold"} ${name} ${hold.token}`);
  for (const { name, hold } of holds) console.log(`${await hold.release()} ${name}`);
  process.exit(0);
});

for (let client = 0; client < CLIENTS; client++) {
  const locks = connect({ servers, principal: `holder-${client}` });
  const names = Array.from({ length: LOCKS_EACH }, (_, nth) => `held/${client}/${nth}`);
  await Promise.all(names.map((name) => take(locks, name)));
}
console.log("all are held");
