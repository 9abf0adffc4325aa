import { askLocks } from "./ask.js";
import type { Run } from "./command.js";
import { ExitCode } from "./exit-code.js";

export const isHeld: Run = (words, scene) => {
  const resource = words.positional("RESOURCE");
  const leaseId = words.positional("LEASE_ID");
  return askLocks(words, scene, resource, async ({ client }) => {
    // What cannot be asked is thrown: it must never look like a no.
    const held = await client.isHeld(resource, leaseId);
    if (scene.output.isJson) scene.output.json({ resource, held });
    return held ? ExitCode.OK : ExitCode.NO;
  });
};
