import { daemonRules, type Config, type Flags } from "../../src/config/index.js";
import type { Backend } from "../../src/lock/backend.js";
import { openLocks, type OpenLocks } from "../../src/open.js";
import { HoldHub } from "../../src/lock/daemon/hold-hub.js";
import { LineSink } from "../../src/rpc/line-sink.js";
import { openLog } from "../../src/rpc/log.js";
import { serve as openDoors, type ServeOptions } from "../../src/rpc/serve.js";
import { LockService } from "../../src/rpc/service.js";
import { systemClock } from "../../src/system-clock.js";
import { builtInStoreTeller } from "./ask-here.js";
import { configOf } from "./ask.js";
import type { Run, Words } from "./command.js";
import { ExitCode } from "./exit-code.js";
import { asConfigMistake, readPem } from "./pem.js";

export const serve: Run = async (words, scene) => {
  const signal = scene.untilStopped();
  const config = await configOf(words, scene, daemonFlags(words), "daemon");
  const level = scene.output.isQuiet ? "error" : config.daemon.logLevel;
  const log = openLog(level, stderrSink());
  const note = (text: string): void => {
    log.warn(text);
  };
  for (const warning of config.warnings) note(warning);
  const sayIfMade = builtInStoreTeller(config, { note });
  const rules = daemonRules(config);
  await using locks = await openLocks({ rules, backends: config.backends, startsAlone: true });
  const { absent } = locks;
  for (const [name, why] of absent) log.warn(`without the backend ${name} for now: ${why}`);
  sayIfMade(Array.from(locks.backends.keys()).filter((name) => !absent.has(name)));
  await using server = await open({
    service: new LockService(locks.manager),
    holds: new HoldHub(locks.manager),
    locks: locks.manager,
    clock: systemClock,
    log,
    check: warningOnce(locks, note),
    ...(await doorsOf(config)),
  });
  const where = [...server.addresses, ...server.httpAddresses.map((address) => `http ${address}`)];
  log.info({ pid: process.pid }, `listening on ${where.join(", ")}`);
  await aborted(signal);
  await server.drain();
  return ExitCode.OK;
};

async function open(options: ServeOptions): ReturnType<typeof openDoors> {
  try {
    return await openDoors(options);
  } catch (thrown) {
    throw asConfigMistake(thrown);
  }
}

// Until the process ends, which waits for its lines no longer than a moment.
function stderrSink(): LineSink {
  // Node sets a pipe to non-blocking when it is first looked at.
  const sink = new LineSink(process.stderr.fd, systemClock);
  process.once("exit", () => {
    sink.flush();
  });
  return sink;
}

function daemonFlags(words: Words): Flags {
  return {
    ...(words.has("listen") ? { listen: words.values("listen") } : {}),
    ...(words.has("http") ? { http: words.values("http") } : {}),
    ...(words.has("insecure") ? { insecure: true } : {}),
    daemonCert: words.value("cert"),
    daemonKey: words.value("key"),
    daemonClientCa: words.value("ca"),
    logLevel: words.value("log-level"),
  };
}

async function doorsOf({
  daemon,
}: Config): Promise<Pick<ServeOptions, "listen" | "http" | "insecure" | "tls">> {
  const { listen, http, insecure, tls } = daemon;
  if (tls === undefined) return { listen, http, insecure };
  const { cert, key, clientCa } = tls;
  return {
    ...{ listen, http, insecure },
    tls: {
      cert: await readPem("cert", cert),
      key: await readPem("key", key),
      ...(clientCa === undefined ? {} : { clientCa: await readPem("ca", clientCa) }),
    },
  };
}

// A look at every store, all at the same time, so that one that is away hides nothing of the
// others; each thing that should be changed there is said once.
function warningOnce({ backends }: OpenLocks, note: (text: string) => void): () => Promise<void> {
  const said = new Set<string>();
  const look = async ([name, backend]: readonly [string, Backend]): Promise<void> => {
    await backend.check();
    for (const warning of backend.warnings ?? []) {
      const text = `${name}: ${warning}`;
      if (!said.has(text)) note(text);
      said.add(text);
    }
  };
  return async () => {
    const looks = await Promise.allSettled([...backends].map(look));
    for (const seen of looks) if (seen.status === "rejected") throw seen.reason;
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener(
        "abort",
        () => {
          resolve();
        },
        { once: true },
      );
  });
}
