import { parseArgs } from "node:util";
import { FAULT_NAMES, type FaultName } from "./faults.js";
import { STORE_NAMES, type StoreName } from "./stores.js";

export interface Options {
  readonly faults: readonly FaultName[];
  /** Nothing: those that the wrapper knows. */
  readonly stores: readonly StoreName[] | undefined;
  /** Of each fault; nothing: as many as the promise was made for. */
  readonly trials: number | undefined;
  readonly seed: number;
  readonly json: string | undefined;
  readonly wrapper: string;
  readonly withPeers: boolean;
  readonly isQuick: boolean;
}

export const USAGE = `Runs wrappers against each other while something fails, and tells what was wrong.

  npm run trials -- [--quick] [--fault NAME[,NAME...]] [--store NAME[,NAME...]] [--trials N]
                    [--seed N] [--json FILE] [--wrapper NAME|PROGRAM] [--peers]

  --quick    a few trials of each fault on the embedded store, within two minutes
  --fault    ${FAULT_NAMES.slice(0, 4).join(", ")},
             ${FAULT_NAMES.slice(4).join(", ")}
  --store    ${STORE_NAMES.join(", ")}
  --trials   how many of each fault; 104 on the embedded store and 32 on the others when left out
  --seed     repeats the choices of a run, which tells its seed
  --json     writes every trial there
  --wrapper  stormlock, flock, etcdctl, consul, or a program that takes RESOURCE COMMAND...
  --peers    the other wrappers that are installed, too: what they do wrong is told, no failure
`;

export class BadOptions extends Error {}

/** @throws BadOptions which says what is wrong */
export function readOptions(argv: readonly string[]): Options | undefined {
  const { values } = parse(argv);
  if (values.help === true) return undefined;
  return {
    faults: names("fault", values.fault, FAULT_NAMES) ?? FAULT_NAMES,
    stores: names("store", values.store, STORE_NAMES),
    trials: count("trials", values.trials),
    seed: count("seed", values.seed) ?? Math.floor(Math.random() * 2 ** 31),
    json: values.json,
    wrapper: values.wrapper ?? "stormlock",
    withPeers: values.peers === true,
    isQuick: values.quick === true,
  };
}

function parse(argv: readonly string[]): ReturnType<typeof parseArgs<typeof CONFIG>> {
  try {
    return parseArgs({ ...CONFIG, args: [...argv] });
  } catch (error) {
    throw new BadOptions(error instanceof Error ? error.message : String(error));
  }
}

const CONFIG = {
  options: {
    fault: { type: "string" },
    store: { type: "string" },
    trials: { type: "string" },
    seed: { type: "string" },
    json: { type: "string" },
    wrapper: { type: "string" },
    peers: { type: "boolean" },
    quick: { type: "boolean" },
    help: { type: "boolean" },
  },
} as const;

function names<Name extends string>(
  option: string,
  text: string | undefined,
  known: readonly Name[],
): Name[] | undefined {
  return text?.split(",").map((word) => {
    const name = known.find((each) => each === word);
    if (name !== undefined) return name;
    throw new BadOptions(`--${option} ${word}: give one of ${known.join(", ")}`);
  });
}

function count(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new BadOptions(`--${option} ${text}: give a whole number above 0`);
}
