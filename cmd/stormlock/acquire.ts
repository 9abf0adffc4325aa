import type { UnaryClient } from "../../src/rpc/unary-client.js";
import type { AcquireResult } from "../../src/rpc/client-contract.js";
import { systemClock } from "../../src/system-clock.js";
import { askLocks, type Asked } from "./ask.js";
import type { Run, Scene, Words } from "./command.js";
import { ExitCode } from "./exit-code.js";
import { leaseJson } from "./lease-format.js";
import { OutputError } from "./output.js";
import { UsageError } from "./usage-error.js";

export const acquire: Run = (words, scene) => {
  const { output } = scene;
  const resource = words.positional("RESOURCE");
  const ttlMs = words.durationMs("ttl");
  const waitMs = words.durationMs("wait") ?? 0;
  const labels = labelsOf(words);
  const reason = words.value("reason") ?? "";
  const signal = scene.untilStopped();
  return askLocks(words, scene, resource, async (asked) => {
    const { client } = asked;
    const take = (): Promise<AcquireResult> =>
      client.acquire(resource, {
        ...{ waitMs, signal, labels, reason },
        principal: asked.principalFor(resource),
        ...defined({ ttlMs: ttlMs ?? asked.defaultTtlMs }),
      });
    const result = waitMs > 0 ? await whileTelling(asked, resource, scene, take) : await take();
    if (result.kind === "held") {
      // Whose lease it is may be known, but not by which id: that would be the key to it.
      const holder = result.holder && leaseJson({ ...result.holder, leaseId: "" });
      output.no("lock-held", result.message, { resource, holder });
      return ExitCode.HELD;
    }
    const { lease } = result;
    try {
      // Told to stop while the answer was on its way: nobody waits for this id any more.
      signal.throwIfAborted();
      if (output.isJson) output.json(leaseJson(lease));
      else output.result(`${lease.leaseId}\n`);
    } catch (thrown) {
      // A lease whose id nobody has read is one that nobody else can give back.
      const remedy = await giveBack(client, resource, lease.leaseId);
      if (!(thrown instanceof OutputError)) throw thrown;
      throw new OutputError(thrown.cause as NodeJS.ErrnoException, remedy);
    }
    return ExitCode.OK;
  });
};

async function giveBack(client: UnaryClient, resource: string, leaseId: string): Promise<string> {
  try {
    await client.release(resource, leaseId);
    return `${resource} has been released`;
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    return `${resource} could not be released, and stays locked for its ttl: ${why}`;
  }
}

async function whileTelling<T>(
  { client }: Asked,
  resource: string,
  { output, env, isTerminal }: Scene,
  wait: () => Promise<T>,
): Promise<T> {
  const { tellWhile } = await import("./waiting.js");
  const news = {
    current: (signal: AbortSignal) => client.current(resource, signal),
    nowMs: () => systemClock.wallMs(),
  };
  const canRewrite = !output.isJson && env["TERM"] !== "dumb" && isTerminal(2);
  return await tellWhile(resource, news, output, canRewrite, wait);
}

function labelsOf(words: Words): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const text of words.values("label")) {
    const at = text.indexOf("=");
    if (at < 1) throw new UsageError(`--label ${JSON.stringify(text)} is no label: give KEY=VALUE`);
    const key = text.slice(0, at);
    if (Object.hasOwn(labels, key))
      throw new UsageError(`--label ${JSON.stringify(key)} is given twice: give it once`);
    labels[key] = text.slice(at + 1);
  }
  return labels;
}

function defined({ ttlMs }: { ttlMs: number | undefined }): { ttlMs?: number } {
  return ttlMs === undefined ? {} : { ttlMs };
}
