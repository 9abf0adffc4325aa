import { afterAll, beforeAll } from "vitest";
import { stores, type StoreKind } from "../support/stores.js";

/**
 * What the tests of a file play on, for every store that is there: set up before the first test,
 * all at the same time, and taken down after the last.
 * @returns the stage of a store
 */
export function stagesOf<Stage extends AsyncDisposable>(
  set: (kind: StoreKind) => Promise<Stage>,
  withinMs: number,
): (kind: StoreKind) => Stage {
  const stages = new Map<string, Stage>();
  beforeAll(async () => {
    const present = stores.filter(({ missing }) => missing === undefined);
    await Promise.all(present.map(async (kind) => stages.set(kind.type, await set(kind))));
  }, withinMs);
  afterAll(async () => {
    await Promise.all([...stages.values()].map((stage) => stage[Symbol.asyncDispose]()));
  }, withinMs);
  return ({ type }) => {
    const stage = stages.get(type);
    if (stage === undefined) throw new Error(`${type} was not started`);
    return stage;
  };
}
