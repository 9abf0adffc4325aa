import { createServer } from "node:net";

// Below those that the system gives to connections that go out (Linux: from 32768): none of them
// can take a port between the look at it and its use.
const FIRST = 20_000;
const COUNT = 12_000;
const MOST_TRIES = 200;

/** A port of 127.0.0.1 that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port from ${String(FIRST)} on`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const isBound = await new Promise<boolean>((resolve) => {
    server.once("error", () => {
      resolve(false);
    });
    server.listen(port, "127.0.0.1", () => {
      resolve(true);
    });
  });
  if (isBound) await new Promise((closed) => server.close(closed));
  return isBound;
}
