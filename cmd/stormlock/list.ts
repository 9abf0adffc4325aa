import type { Lease } from "../../src/lock/lease.js";
import type { Run } from "./command.js";
import { ExitCode } from "./exit-code.js";
import { formatLeases, leaseJson } from "./lease-format.js";
import { askLocks } from "./ask.js";
import type { Output } from "./output.js";

// Written in pieces, so that a long list costs neither memory nor patience.
const PIECE = 1000;

export const list: Run = (words, scene) =>
  askLocks(words, scene, undefined, async ({ client }) => {
    const { output } = scene;
    const leases = client.list(words.optionalPositional("PREFIX"), {
      onUnreadable: (resource, message) => {
        output.note(`not listed, ${JSON.stringify(resource)}: ${message}`);
      },
    });
    if (output.isJson) await writeJson(leases, output);
    else if (scene.isTerminal(1)) output.result(formatLeases(await all(leases), true));
    else for await (const piece of pieces(leases)) output.result(formatLeases(piece, false));
    return ExitCode.OK;
  });

// One JSON array, one lease a line.
async function writeJson(leases: AsyncIterable<Lease>, output: Output): Promise<void> {
  let before = "[\n";
  for await (const piece of pieces(leases)) {
    output.result(before + piece.map((lease) => JSON.stringify(leaseJson(lease))).join(",\n"));
    before = ",\n";
  }
  output.result(before === "[\n" ? "[]\n" : "\n]\n");
}

// Only whole can it be laid out in columns.
async function all(leases: AsyncIterable<Lease>): Promise<readonly Lease[]> {
  const found: Lease[] = [];
  for await (const lease of leases) found.push(lease);
  return found;
}

async function* pieces(leases: AsyncIterable<Lease>): AsyncGenerator<readonly Lease[], void> {
  let piece: Lease[] = [];
  for await (const lease of leases) {
    piece.push(lease);
    if (piece.length < PIECE) continue;
    yield piece;
    piece = [];
  }
  if (piece.length > 0) yield piece;
}
