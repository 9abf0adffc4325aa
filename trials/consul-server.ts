import { join } from "node:path";
import { freePort } from "../test/support/free-port.js";
import { hostMs, pause } from "./host.js";
import { Program } from "./program.js";

const START_WITHIN_MS = 30_000;

/** An agent with its server in one process, in memory, on loopback: for `consul lock` alone. */
export class ConsulServer implements AsyncDisposable {
  readonly address: string;
  readonly #agent: Program;

  private constructor(address: string, agent: Program) {
    this.address = address;
    this.#agent = agent;
  }

  /** `folder` is where its log goes. */
  static async start(folder: string): Promise<ConsulServer> {
    const ports = await Promise.all(["http", "server", "serf-lan", "serf-wan"].map(portFor));
    const [[, http] = ["", 0]] = ports;
    const agent = new Program({
      argv: [
        ...["consul", "agent", "-dev", "-bind", "127.0.0.1", "-client", "127.0.0.1"],
        ...["-dns-port", "-1", "-grpc-port", "-1"],
        ...ports.flatMap(([name, port]) => [`-${name}-port`, String(port)]),
      ],
      cwd: folder,
      log: join(folder, "consul.log"),
    });
    const address = `127.0.0.1:${String(http)}`;
    const untilMs = hostMs() + START_WITHIN_MS;
    while (!(await hasLeader(address))) {
      if (agent.end === undefined && hostMs() < untilMs) await pause(50);
      else {
        await agent.destroy();
        throw new Error(`consul did not start: ${agent.said}`);
      }
    }
    return new ConsulServer(address, agent);
  }

  freeze(): void {
    this.#agent.kill("SIGSTOP");
  }

  thaw(): void {
    this.#agent.kill("SIGCONT");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#agent.destroy();
  }
}

async function portFor(name: string): Promise<readonly [string, number]> {
  return [name, await freePort()];
}

async function hasLeader(address: string): Promise<boolean> {
  try {
    const asked = { signal: AbortSignal.timeout(1000) };
    const answer = await fetch(`http://${address}/v1/status/leader`, asked);
    return answer.ok && (await answer.text()).includes(":");
  } catch {
    return false;
  }
}
