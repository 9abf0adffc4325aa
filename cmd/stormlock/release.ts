import { askLocks } from "./ask.js";
import type { Run } from "./command.js";
import { ExitCode } from "./exit-code.js";

export const release: Run = (words, scene) => {
  const resource = words.positional("RESOURCE");
  const leaseId = words.positional("LEASE_ID");
  return askLocks(words, scene, resource, async ({ client }) => {
    const outcome = await client.release(resource, leaseId);
    if (scene.output.isJson) scene.output.json({ resource, outcome });
    return ExitCode.OK;
  });
};
