import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);

/**
 * Runs a program of ours as a process of its own: it gets its order as one argument in JSON, and
 * prints its report in JSON.
 * @throws when it fails, or is not done in time
 */
export async function runProgram<Report>(
  program: string,
  order: object,
  withinMs: number,
): Promise<Report> {
  const argv = [program, JSON.stringify(order)];
  const { stdout } = await execute(process.execPath, argv, {
    timeout: withinMs,
    maxBuffer: 64 * 1024 * 1024,
  });
  return JSON.parse(stdout) as Report;
}
