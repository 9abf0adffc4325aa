import type { Run, Words } from "./command.js";
import { ExitCode } from "./exit-code.js";
import { formatLease, LEASE_FORMATS, type LeaseFormat } from "./lease-format.js";
import { askLocks } from "./ask.js";
import { UsageError } from "./usage-error.js";

export const current: Run = (words, scene) => {
  const resource = words.positional("RESOURCE");
  const format = formatOf(words);
  return askLocks(words, scene, resource, async ({ client }) => {
    const lease = await client.current(resource);
    if (lease === undefined) {
      scene.output.no("not-held", `nobody holds ${resource}`, { resource });
      return ExitCode.NO;
    }
    scene.output.result(formatLease(lease, format));
    return ExitCode.OK;
  });
};

function formatOf(words: Words): LeaseFormat {
  const named = LEASE_FORMATS.find((format) => format === words.value("format"));
  const asked = new Set([
    ...(named === undefined ? [] : [named]),
    ...(words.has("id-only") ? (["id"] as const) : []),
    ...(words.has("json") ? (["json"] as const) : []),
  ]);
  const [format = "rows"] = asked;
  if (asked.size > 1)
    throw new UsageError(`two formats are asked for, ${[...asked].join(" and ")}: choose one`);
  return format;
}
