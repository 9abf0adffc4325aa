// Holders in Go and Python, each the actor of its library (clients/contract).

import { Actor, type ActorOptions } from "../contract/actor.js";
import { clients, type ClientKind } from "../contract/clients.js";

/** Libraries in other languages than the daemon's own. */
const KINDS: readonly ClientKind[] = ["go", "python", "python-asyncio"].map((name) => {
  const kind = clients.find((each) => each.name === name);
  if (kind === undefined) throw new Error(`there is no client ${name}`);
  return kind;
});

/** Why they cannot be tried on this machine; undefined when they can. */
export const missing: string | undefined = KINDS.find(
  (kind) => kind.missing !== undefined,
)?.missing;

/** Builds what they need. */
export async function prepareCrew(): Promise<void> {
  for (const { prepare } of KINDS) await prepare?.();
}

export interface Member {
  readonly name: string;
  readonly actor: Actor;
}

/** Programs that hold locks, each with one client. */
export class Crew implements AsyncDisposable {
  readonly members: readonly Member[];

  /**
   * @param each how many programs of which library
   * @param serversOf the addresses for the nth of all
   */
  constructor(
    each: Readonly<Record<string, number>>,
    serversOf: (nth: number) => readonly string[],
    options: ActorOptions,
  ) {
    const wanted = KINDS.flatMap((kind) =>
      Array.from({ length: each[kind.name] ?? 0 }, (_, nth) => ({ kind, nth })),
    );
    this.members = wanted.map(({ kind, nth }, at) => {
      const name = `${kind.name}-${String(nth)}`;
      return { name, actor: new Actor(kind.command, serversOf(at), name, options) };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map(({ actor }) => actor[Symbol.asyncDispose]()));
  }
}
