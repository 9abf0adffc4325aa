import { backendType } from "../../../src/backends/registry.js";
import type { BackendConfig } from "../../../src/config/backend-settings.js";
import { LockError } from "../../../src/lock/errors.js";
import { namingSection } from "../../../src/open.js";
import { systemClock } from "../../../src/system-clock.js";
import type { Output } from "../output.js";
import { UsageError } from "../usage-error.js";
import { Findings } from "./findings.js";

/**
 * Makes what stores need before they can be used, or prints it and asks nobody.
 * @returns the exit code
 */
export async function setUpBackends(
  configs: readonly BackendConfig[],
  isPrinted: boolean,
  output: Output,
): Promise<number> {
  if (isPrinted && configs.length > 1) {
    const names = configs.map(({ name }) => name).join(", ");
    throw new UsageError(`--print is for one backend at a time: give its NAME, one of ${names}`);
  }
  const findings = new Findings(output);
  for (const config of configs) {
    findings.begin(config);
    try {
      const setup = await setupOf(config);
      if (setup !== undefined && isPrinted) {
        const { name, type } = config;
        if (output.isJson) output.json({ name, type, text: setup.text });
        else output.result(`${setup.text}\n`);
        return findings.end();
      }
      const message =
        setup === undefined
          ? `nothing has to be made for a store of type ${config.type}`
          : await setup.run({ clock: systemClock });
      findings.add({ level: "ok", step: "setup", message });
    } catch (thrown) {
      findings.fail("setup", namingSection(thrown, config.name, config.where.get("")));
    }
  }
  return findings.end();
}

async function setupOf({
  name,
  type,
  folder,
  settings,
  problem,
}: BackendConfig): Promise<Awaited<ReturnType<typeof wanted>>> {
  if (problem !== undefined) throw new LockError("invalid-field", problem);
  return await wanted();

  async function wanted() {
    return await (await backendType(type, folder)).setup?.(name, settings);
  }
}
