import { askLocks } from "./ask.js";
import type { Run } from "./command.js";
import { ExitCode } from "./exit-code.js";
import { leaseJson } from "./lease-format.js";

export const renew: Run = (words, scene) => {
  const { output } = scene;
  const resource = words.positional("RESOURCE");
  const leaseId = words.positional("LEASE_ID");
  const ttlMs = words.durationMs("ttl");
  return askLocks(words, scene, resource, async ({ client }) => {
    const renewed = await client.renew(resource, leaseId, ttlMs === undefined ? {} : { ttlMs });
    if (renewed.kind === "lost") {
      output.no("lease-lost", renewed.message, { resource });
      return ExitCode.LOST;
    }
    if (output.isJson) output.json(leaseJson(renewed.lease));
    return ExitCode.OK;
  });
};
