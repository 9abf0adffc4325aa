// What the tests of this store share.

import { openPostgresql } from "../../../src/backends/postgresql/backend.js";
import type { PostgresqlSettings } from "../../../src/backends/postgresql/settings.js";
import type { AcquireAsk, Backend } from "../../../src/lock/backend.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { newLeaseId, type Lease } from "../../../src/lock/lease.js";
import { tableSql } from "../../../src/backends/postgresql/statements.js";
import { systemClock } from "../../../src/system-clock.js";
import { PostgresqlServer, type PostgresqlOptions } from "../../support/servers/postgresql.js";

export const ROLE = "locks_role";
export const ROLE_PASSWORD = "another/pass:word";

/** A server with the table in it, and a role that may do no more than it needs. */
export class Stage implements AsyncDisposable {
  readonly server: PostgresqlServer;

  private constructor(server: PostgresqlServer) {
    this.server = server;
  }

  static async start(options: PostgresqlOptions = {}): Promise<Stage> {
    const server = await PostgresqlServer.start(options);
    await server.run(
      tableSql("stormlock_leases"),
      `CREATE ROLE ${ROLE} LOGIN PASSWORD '${ROLE_PASSWORD}'`,
      `GRANT SELECT, INSERT, UPDATE, DELETE ON stormlock_leases TO ${ROLE}`,
    );
    return new Stage(server);
  }

  /** The string of the role without other rights. */
  roleUrl(port = this.server.port): string {
    return this.server.url({ user: ROLE, password: ROLE_PASSWORD, port });
  }

  open(settings: Partial<PostgresqlSettings> = {}): Promise<Backend> {
    const whole = { connection: this.roleUrl(), create_table: false, ...settings };
    return openPostgresql(whole, { clock: systemClock });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }
}

export function ask(resource: string, more: Partial<AcquireAsk> = {}): AcquireAsk {
  return {
    ...{ resource, leaseId: newLeaseId(), principal: "ann@here", ttlMs: 60_000 },
    ...{ reason: "", labels: {} },
    ...more,
  };
}

/** Asks for what is free. */
export async function take(
  backend: Backend,
  resource: string,
  more: Partial<AcquireAsk> = {},
): Promise<Lease> {
  const [answer] = await backend.acquire([ask(resource, more)]);
  if (answer?.kind !== "granted") throw new Error(`${resource} is ${String(answer?.kind)}`);
  return answer.lease;
}

export async function holder(backend: Backend, resource: string): Promise<Lease | undefined> {
  return leaseIn((await backend.current([resource]))[0]);
}

/** A resource's name as SQL. */
export function keySql(resource: string): string {
  return `'\\x${Buffer.from(resource).toString("hex")}'::bytea`;
}
