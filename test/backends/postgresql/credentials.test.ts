// How a client proves to the server who it is, and the server to the client: real handshakes.

import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { tableSql } from "../../../src/backends/postgresql/statements.js";
import type { LockError } from "../../../src/lock/errors.js";
import { describeWithPostgresql, PostgresqlServer } from "../../support/servers/postgresql.js";
import { ROLE, ROLE_PASSWORD, Stage } from "./stage.js";

const ODD = String.raw`%40 'p"w\:d/?#[]@&= é😀`;
const ODD_SQL = ODD.replaceAll("'", "''");

describeWithPostgresql("postgresql, credentials", () => {
  let stage: Stage;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "stormlock-credentials-"));
    stage = await Stage.start({ config: { unix_socket_directories: "." } });
    await stage.server.run(
      `CREATE ROLE odd LOGIN PASSWORD '${ODD_SQL}'`,
      "GRANT SELECT, INSERT, UPDATE, DELETE ON stormlock_leases TO odd",
    );
  });

  afterEach(() => {
    vi.unstubAllEnvs();
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  /** Where the store is, when it opens with this string and works. */
  async function opened(connection: string): Promise<string> {
    await using backend = await stage.open({ connection });
    await backend.check();
    return backend.traits.place;
  }

  /** The one line about why it does not. */
  async function refusal(connection: string): Promise<string> {
    const error = await opened(connection).then(
      () => new Error("it could be opened"),
      (thrown: unknown) => thrown as LockError,
    );
    expect(error).toMatchObject({ name: "LockError" });
    const everything = `${error.message} ${String(error.cause)}`;
    for (const secret of [ODD, encodeURIComponent(ODD), ROLE_PASSWORD]) {
      expect(everything).not.toContain(secret);
    }
    expect(error.message).not.toContain("\n");
    return error.message;
  }

  const address = (): string => `127.0.0.1:${String(stage.server.port)}`;
  const keywords = (password: string): string =>
    `host=127.0.0.1 port=${String(stage.server.port)} dbname=postgres user=odd password='${password.replace(/['\\]/gu, "\\$&")}'`;

  it("a password of any characters works in a URL and in keywords, and is never told", async () => {
    const url = (password: string): string =>
      `postgresql://odd:${encodeURIComponent(password)}@${address()}/postgres`;
    for (const form of [url, keywords]) {
      expect(await opened(form(ODD))).toContain(address());
      expect(await refusal(form(`${ODD}x`))).toMatch(/refuses odd/u);
    }
    // Not encoded, and so no URL.
    expect(await refusal(`postgresql://odd:${ODD}@${address()}/postgres`)).toMatch(
      /must be a URL/u,
    );
  });

  it("what the string leaves out comes from libpq's variables", async () => {
    vi.stubEnv("PGHOST", "127.0.0.1");
    vi.stubEnv("PGPORT", String(stage.server.port));
    vi.stubEnv("PGDATABASE", "postgres");
    vi.stubEnv("PGUSER", "odd");
    vi.stubEnv("PGPASSWORD", ODD);
    expect(await opened("postgresql://")).toContain(`${address()}/postgres`);
    expect(await opened(stage.roleUrl())).toContain(address()); // What it says itself goes first.
    vi.stubEnv("PGPASSWORD", "another");
    expect(await refusal("postgresql://")).toMatch(/refuses odd/u);
  });

  describe("a pass file", () => {
    async function passFile(...lines: readonly string[]): Promise<string> {
      const file = join(folder, "pass");
      await rm(file, { force: true });
      await writeFile(file, lines.join("\n"), { mode: 0o600 });
      vi.stubEnv("PGPASSFILE", file);
      return file;
    }
    const escaped = ODD.replace(/[\\:]/gu, "\\$&");
    const url = (): string => `postgresql://odd@${address()}/postgres`;

    it("gives the first password that fits, silently", async () => {
      const warned = vi.spyOn(process, "emitWarning");
      await passFile(
        "# 127.0.0.1:*:*:odd:no",
        "other.example:*:*:odd:no",
        `127.0.0.1:1:postgres:odd:no`,
        "127.0.0.1:*:postgres:other:no",
        `127.0.0.1:${String(stage.server.port)}:*:odd:${escaped}`,
        "*:*:*:*:no",
      );
      expect(await opened(url())).toContain(address());
      expect(warned).not.toHaveBeenCalled();
      warned.mockRestore();
      await passFile("*:*:*:*:no", `*:*:*:odd:${escaped}`);
      expect(await refusal(url())).toMatch(/refuses odd/u);
    });

    it("yields to a password that is given", async () => {
      await passFile("*:*:*:*:no");
      expect(await opened(keywords(ODD))).toContain(address());
    });

    it("that others may read, or that is not there, is as none", async () => {
      const file = await passFile(`*:*:*:*:${escaped}`);
      await chmod(file, 0o640);
      expect(await refusal(url())).toMatch(/wants another password of odd/u);
      vi.stubEnv("PGPASSFILE", join(folder, "nowhere"));
      expect(await refusal(url())).toMatch(/wants another password of odd/u);
    });
  });

  it("a path as the host is a Unix socket, on which sslmode means nothing", async () => {
    const directory = join(stage.server.directory, "data");
    const port = String(stage.server.port);
    const login = `${ROLE}:${encodeURIComponent(ROLE_PASSWORD)}`;
    const inUrl = `postgresql://${login}@${encodeURIComponent(directory)}:${port}/postgres`;
    const inQuery = `postgresql://${login}@/postgres?host=${directory}&port=${port}`;
    for (const url of [inUrl, inQuery, `${inQuery}&sslmode=require`]) {
      expect(await opened(url)).toBe(`${directory}:${port}/postgres stormlock_leases`);
    }
    expect(await refusal(inQuery.replace("/data", "/nowhere"))).toMatch(
      /nowhere:\d+\/postgres cannot be reached \(.*ENOENT/u,
    );
  });

  describe("TLS", () => {
    let server: PostgresqlServer;

    const pem = (name: string): string => join(folder, name);

    /** Makes a certificate that vouches for itself. */
    async function certify(name: string, subject: string): Promise<string> {
      const made = spawnSync("openssl", [
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
        ...["-days", "2", "-subj", `/CN=${subject}`, "-addext", "subjectAltName=IP:127.0.0.1"],
        ...["-keyout", pem(`${name}.key`), "-out", pem(`${name}.crt`)],
      ]);
      expect(made.status).toBe(0);
      return await readFile(pem(`${name}.crt`), "utf8");
    }

    beforeAll(async () => {
      const files = {
        "server.crt": await certify("server", "db.test"),
        "server.key": await readFile(pem("server.key"), "utf8"),
        "clients.crt": await certify("client", "by_certificate"),
        "pg_hba.conf": [
          "hostssl all by_certificate 127.0.0.1/32 cert",
          "host all all 127.0.0.1/32 scram-sha-256",
        ].join("\n"),
      };
      await certify("other", "db.test");
      server = await PostgresqlServer.start({
        files,
        config: { ssl: "on", ssl_ca_file: "clients.crt" },
      });
      await server.run(
        tableSql("stormlock_leases"),
        "CREATE ROLE by_certificate LOGIN",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON stormlock_leases TO by_certificate",
      );
    });

    afterAll(async () => {
      await server[Symbol.asyncDispose]();
    });

    /** Whether the connection is encrypted. */
    async function encrypted(query: string, url = server.url()): Promise<unknown> {
      await using backend = await stage.open({ connection: url + query });
      await backend.check();
      const [row] = await server.run(
        `SELECT bool_and(ssl) AS ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = 'stormlock'`,
      );
      return row?.["ssl"];
    }

    it("is used when it is there, unless sslmode says no", async () => {
      for (const query of ["", "?sslmode=prefer", "?sslmode=require"]) {
        expect(await encrypted(query)).toBe(true);
      }
      expect(await encrypted("?sslmode=disable")).toBe(false);
    });

    it("that is not there is missed only by who insists on it", async () => {
      expect(await opened(`${stage.roleUrl()}?sslmode=prefer`)).toContain(address());
      for (const mode of ["require", `verify-ca&sslrootcert=${pem("server.crt")}`, "verify-full"]) {
        expect(await refusal(`${stage.roleUrl()}?sslmode=${mode}`)).toMatch(
          /does not support SSL/u,
        );
      }
    });

    it("verifies whom it was told to verify", async () => {
      const right = `sslrootcert=${pem("server.crt")}`;
      const wrong = `sslrootcert=${pem("other.crt")}`;
      const byName = server.url().replace("127.0.0.1", "localhost");
      for (const mode of ["require", "verify-ca", "verify-full"]) {
        expect(await encrypted(`?sslmode=${mode}&${right}`)).toBe(true);
        expect(await refusal(`${server.url()}?sslmode=${mode}&${wrong}`)).toMatch(/over TLS/u);
      }
      // The certificate is for 127.0.0.1.
      expect(await encrypted(`?sslmode=verify-ca&${right}`, byName)).toBe(true);
      expect(await refusal(`${byName}?sslmode=verify-full&${right}`)).toMatch(/over TLS/u);
      // Nobody whom Node trusts has vouched for it.
      expect(await refusal(`${server.url()}?sslmode=verify-full`)).toMatch(/over TLS/u);
      expect(await refusal(`${server.url()}?sslmode=verify-ca&sslrootcert=/no/such/file`)).toMatch(
        /\/no\/such\/file/u,
      );
    });

    it("is as strict as libpq's variables say, where the string says nothing", async () => {
      vi.stubEnv("PGSSLMODE", "verify-full");
      vi.stubEnv("PGSSLROOTCERT", pem("other.crt"));
      expect(await refusal(server.url())).toMatch(/over TLS/u);
      vi.stubEnv("PGSSLROOTCERT", pem("server.crt"));
      expect(await opened(server.url())).toContain("127.0.0.1");
      vi.stubEnv("PGSSLMODE", "strict");
      expect(await refusal(server.url())).toMatch(/sslmode, in itself or in PGSSLMODE/u);
    });

    it("lets a client prove itself by a certificate", async () => {
      const url = `postgresql://by_certificate@127.0.0.1:${String(server.port)}/postgres?sslmode=require`;
      const own = `&sslcert=${pem("client.crt")}&sslkey=${pem("client.key")}`;
      expect(await encrypted(own, url)).toBe(true);
      expect(await refusal(url)).toMatch(/refuses by_certificate/u);
      const other = `&sslcert=${pem("other.crt")}&sslkey=${pem("other.key")}`;
      expect(await refusal(url + other)).toMatch(/over TLS|cannot be|broke/u);
    });
  });

  it("keywords say the same as a URL", async () => {
    const quoted = ROLE_PASSWORD.replaceAll("'", "\\'");
    const connection = `host=127.0.0.1 port = ${String(stage.server.port)} dbname=postgres user=${ROLE} password='${quoted}' connect_timeout=3`;
    await using backend = await stage.open({ connection });
    await backend.check();
    expect(backend.traits.place).toBe(
      `127.0.0.1:${String(stage.server.port)}/postgres stormlock_leases`,
    );
  });
});
