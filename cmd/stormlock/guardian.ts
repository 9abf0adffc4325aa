import { Socket } from "node:net";
import { setPriority } from "node:os";
import { Guardian } from "./hold/guardian.js";

// The process that ends a command in time when its wrapper cannot: see hold/guardian.ts. It is
// started by hold/guardian-process.ts with the link to the wrapper as file descriptor 3. It loads
// Node's built-ins alone, to be ready within a blink and small all its life.

const LINK_FD = 3;
// It sleeps nearly always; when it wakes, a deadline has come, on a host that may be busy.
const HIGH_PRIORITY = -10;

const link = new Socket({ fd: LINK_FD });
const guardian = new Guardian({
  // Not the parent's: whoever's parent dies gets another one.
  wrapperPid: Number(process.argv[2]),
  send: (line) => link.write(line),
  exit: () => process.exit(0),
});

// Whatever is sent to all processes of a host, a container or a service must not end the one
// that sees to it that the others end. It leaves by itself.
for (const signal of [
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
] as const) {
  process.on(signal, () => undefined);
}
link.setEncoding("utf8");
link.on("data", (piece: string) => {
  guardian.read(piece);
});
const wrapperDied = (): void => {
  guardian.wrapperDied();
};
link.on("error", wrapperDied);
link.on("close", wrapperDied);
try {
  setPriority(HIGH_PRIORITY);
} catch {
  // Not for this user: then it waits its turn like everybody.
}
