import type { Config } from "../../src/config/index.js";
import { formatAddress, parseAddress } from "../../src/lock/address.js";
import { sleep } from "../../src/lock/clock.js";
import { asLockError, type LockError } from "../../src/lock/errors.js";
import { askHealth, type Health } from "../../src/rpc/grpc/health.js";
import { systemClock } from "../../src/system-clock.js";
import { clientFlags, configOf } from "./ask.js";
import type { Run } from "./command.js";
import { endingOf, ExitCode } from "./exit-code.js";
import type { Output } from "./output.js";
import { asConfigMistake, readClientTls } from "./pem.js";
import { UsageError } from "./usage-error.js";

// Longer than a daemon that is well takes on a crowded machine, shorter than a probe is left alone.
const ANSWER_WITHIN_MS = 3000;
// How often a daemon is asked that is waited for.
const AGAIN_MS = 100;

interface Answer {
  readonly server: string;
  readonly health: Health | "unreachable";
  readonly error?: LockError;
}

export const health: Run = async (words, scene) => {
  const waitMs = words.durationMs("wait") ?? 0;
  const signal = waitMs > 0 ? scene.untilStopped() : undefined;
  const config = await configOf(words, scene, clientFlags(words), "client");
  for (const warning of config.warnings) scene.output.note(warning);
  const servers = serversOf(config);
  const tls = await readClientTls(config.client);
  const ask = async (server: string): Promise<Answer> => {
    try {
      const question = { address: server, clock: systemClock, timeoutMs: ANSWER_WITHIN_MS };
      const said = await askHealth({ ...question, ...(tls === undefined ? {} : { tls }) });
      return { server, health: said };
    } catch (thrown) {
      const error = asLockError(thrown);
      if (error.kind === "invalid-field") throw asConfigMistake(error);
      return { server, health: "unreachable", error };
    }
  };
  const untilMs = systemClock.monotonicMs() + waitMs;
  for (;;) {
    const answers = await Promise.all(servers.map(ask));
    const leftMs = untilMs - systemClock.monotonicMs();
    if (leftMs <= 0 || answers.every(isServing)) return tell(answers, scene.output);
    await sleep(systemClock, Math.min(AGAIN_MS, leftMs), signal);
  }
};

const isServing = ({ health: said }: Answer): boolean => said === "serving";

// Those that a client asks; on a host that only has a daemon, where that listens.
function serversOf({ client, daemon }: Config): readonly string[] {
  return client.servers.length > 0 ? client.servers : daemon.listen.map(reached);
}

function reached(listen: string): string {
  const address = parseAddress(listen);
  if (address.kind !== "tcp") return listen;
  if (address.port === 0) {
    throw new UsageError(`nobody knows which port ${listen} will be: name the daemon by --server`);
  }
  // "All addresses" is no address to ask.
  const host = { "0.0.0.0": "127.0.0.1", "::": "::1" }[address.host] ?? address.host;
  return formatAddress({ ...address, host });
}

// The worst of them decides: one that cannot be asked, then one that says no.
function tell(answers: readonly Answer[], output: Output): number {
  if (output.isJson) {
    output.json({
      serving: answers.every(isServing),
      servers: answers.map(({ server, health: said, error }) => ({
        ...{ server, health: said },
        ...(error === undefined ? {} : { message: error.message }),
      })),
    });
  }
  let code: number = answers.every(isServing) ? ExitCode.OK : ExitCode.NO;
  for (const { server, health: said, error } of answers) {
    if (error !== undefined) {
      const ending = endingOf(error);
      output.error(ending.kind, ending.message);
      code = ending.code;
    } else if (!output.isJson) {
      output.result(`${server}\t${said === "serving" ? "serving" : "not serving"}\n`);
    }
  }
  return code;
}
