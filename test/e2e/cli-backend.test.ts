import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CliHome } from "../support/cli.js";
import { freePort } from "../support/free-port.js";

let home: CliHome;

beforeEach(async () => {
  home = await CliHome.make();
});
afterEach(() => home[Symbol.asyncDispose]());

interface Report {
  readonly ok: boolean;
  readonly backends: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly findings: readonly {
      readonly level: string;
      readonly step: string;
      readonly message: string;
      readonly ms?: number;
    }[];
  }[];
}

/** The path of a configuration with these sections. */
function configured(...sections: readonly string[]): Promise<string> {
  return home.file("locks.toml", ['[default]\nbackend = "here"', ...sections].join("\n"));
}

function here(): string {
  return `[backend.here]\ntype = "sqlite"\npath = "${home.path}/locks.db"`;
}

/** A plug-in's file; what it opens has these parts, beside what every backend needs. */
async function plugIn(parts: string): Promise<string> {
  return await home.file(
    "store.mjs",
    `const lease = (ask, more = {}) => ({ ...ask, principal: "p", reason: "", labels: {}, token: 1n,
       ttlMs: 10000, remainingMs: 10000, createdAtUs: 1n, expiresAtUs: 2n, revision: 1n, ...more });
     const held = new Set();
     export const backend = { open: async () => ({
       traits: { type: "odd", place: "nowhere", minTtlMs: 1, takeoverSlackMs: 0 },
       acquire: async (asks) => asks.map((ask) => {
         if (held.size > 0) return { kind: "held", holder: lease(ask, { leaseId: [...held][0] }) };
         held.add(ask.leaseId);
         return { kind: "granted", created: true, lease: lease(ask) };
       }),
       renew: async (asks) => asks.map((ask) => ({ kind: "renewed", lease: lease(ask) })),
       release: async (asks) => asks.map(({ leaseId }) => {
         console.error("released " + held.delete(leaseId));
         return { kind: "released" };
       }),
       current: async (names) => names.map((resource) => lease({ resource, leaseId: [...held][0] })),
       list: async () => [], check: async () => {}, [Symbol.asyncDispose]: async () => {},
       ${parts}
     }) };`,
  );
}

describe("backend check", () => {
  it("plays a lock's life in the store, line by line, and leaves nothing held", async () => {
    const file = await configured(here());
    const { code, stdout, stderr } = await home.run(["backend", "check", "-c", file]);
    expect(code).toBe(0);
    expect(stderr).toBe("");
    const steps = [
      ...["opened \\S+locks\\.db", "can be used", "acquired", "refused to another", "renewed"],
      ...["held by this lease", "released"],
    ];
    expect(stdout).toMatch(
      new RegExp(
        `^${steps.map((step) => `here: ok: ${step} \\(\\d+\\.\\d ms\\)\\n`).join("")}$`,
        "u",
      ),
    );
    expect((await home.run(["list", "-c", file])).stdout).toBe("");
  });

  it("goes on where one store cannot be used, and ends with 69", async () => {
    const port = await freePort();
    const file = await configured(
      `[backend.far]\ntype = "redis"\nurl = "redis://:hunter2@127.0.0.1:${String(port)}"\ntimeout = "500ms"`,
      here(),
    );
    const { code, stdout, stderr } = await home.run(["backend", "check", "--json", "-c", file]);
    expect(code).toBe(69);
    expect(stdout + stderr).not.toContain("hunter2");
    const { ok, backends } = JSON.parse(stdout) as Report;
    expect(ok).toBe(false);
    expect(backends.map(({ name, ok }) => [name, ok])).toEqual([
      ["far", false],
      ["here", true],
    ]);
    expect(backends[0]?.findings).toMatchObject([{ level: "unusable", step: "open" }]);
    expect(backends[0]?.findings[0]?.message).toContain(`127.0.0.1:${String(port)}`);
    expect(backends[1]?.findings.map(({ step }) => step)).toEqual([
      ...["open", "check", "acquire", "refuse", "renew", "is-held", "release"],
    ]);
    for (const { ms } of backends[1]?.findings ?? []) expect(ms).toBeGreaterThanOrEqual(0);
    expect((await home.run(["backend", "check", "here", "-c", file])).code).toBe(0);
  });

  it("a store that cannot be used says why in one line, on stdout", async () => {
    await mkdir(join(home.path, "locks.db"));
    const file = await configured(here());
    const { code, stdout } = await home.run(["backend", "check", "-c", file]);
    expect(code).toBe(69);
    expect(stdout).toMatch(/^here: unusable: \S.*locks\.db.*\n$/u);
  });

  it("a configuration that is wrong ends with 78: before anything is asked", async () => {
    const file = await configured('[backend.here]\ntype = "sqlit"\npath = "/x"');
    const { code, stderr, stdout } = await home.run(["backend", "check", "-c", file]);
    expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
    expect(stderr).toContain("did you mean sqlite?");
  });

  it("a ttl that the store cannot keep is a mistake in the configuration", async () => {
    const module = await plugIn(
      'traits: { type: "odd", place: "nowhere", minTtlMs: 90000, takeoverSlackMs: 0 },',
    );
    const file = await configured(
      `[backend.here]\ntype = "${module}"`,
      '["slow/*"]\nttl = "2m"\nbackend = "here"',
      '["else/*"]\nttl = "70s"',
    );
    const { code, stdout } = await home.run(["backend", "check", "-c", file]);
    expect(code).toBe(78);
    expect(stdout.split("\n").filter((line) => line.includes("misconfigured"))).toEqual([
      `here: misconfigured: ${file}: [default] ttl: found 1m; expected 1m30s at least, the shortest that this store can keep`,
      `here: misconfigured: ${file}: ["else/*"] ttl: found 1m10s; expected 1m30s at least, the shortest that this store can keep`,
    ]);
  });

  it.each([
    [
      "grants twice",
      "acquire: async (asks) => asks.map((ask) => ({ kind: 'granted', created: true, lease: lease(ask) })),",
      "a lock that is held is not refused but granted",
    ],
    ["does not renew", "renew: async () => [{ kind: 'lost' }],", "a lease that is held is lost"],
    ["knows no holder", "current: async () => [undefined],", "the holder is not to be found"],
    ["answers nothing", "renew: async () => [],", "gave 0 answers to 1 questions of renew"],
  ])("a store that %s is no store, and is left with nothing held", async (_what, parts, words) => {
    const module = await plugIn(parts);
    const file = await configured(`[backend.here]\ntype = "${module}"`);
    const { code, stdout, stderr } = await home.run(["backend", "check", "-c", file]);
    expect(code).toBe(69);
    expect(stdout.trimEnd().split("\n").at(-1)).toContain(`here: unusable: `);
    expect(stdout).toContain(words);
    expect(stderr).toContain("released ");
  });

  it("says which name may be held, where nothing can be released", async () => {
    const module = await plugIn(
      "renew: async () => [{ kind: 'lost' }], release: async () => { throw new Error('no') },",
    );
    const file = await configured(`[backend.here]\ntype = "${module}"`);
    const { code, stdout } = await home.run(["backend", "check", "-c", file]);
    expect(code).toBe(69);
    expect(stdout).toMatch(
      /here: warning: stormlock\/check\/[0-9a-f]{32} may be held for another 10s/u,
    );
  });

  it("a signal in the middle releases what is held, and then ends it", async () => {
    const module = await plugIn(
      "renew: () => { console.error('renewing'); return new Promise(() => {}); },",
    );
    const file = await configured(`[backend.here]\ntype = "${module}"`);
    const running = home.start(["backend", "check", "-c", file]);
    await running.stderrMatches(/renewing/u);
    running.kill("SIGTERM");
    const { signal, stderr } = await running.ended;
    expect(signal).toBe("SIGTERM");
    expect(stderr).toContain("released true");
  });

  it("warnings are shown, and are no reason to fail", async () => {
    const module = await plugIn('warnings: ["version 0.1 has known faults: update it"],');
    const file = await configured(`[backend.here]\ntype = "${module}"`);
    const { code, stdout } = await home.run(["backend", "check", "-c", file]);
    expect(code).toBe(0);
    expect(stdout).toContain("here: warning: version 0.1 has known faults: update it\n");
    expect(stdout).toContain("here: ok: released");
  });

  it("without any configuration it checks the local store, and says that it made it", async () => {
    const { code, stdout, stderr } = await home.run(["backend", "check"]);
    expect(code).toBe(0);
    expect(stdout).toContain("default: ok: released");
    expect(stderr).toContain("using the local store");
  });
});

describe("a daemon", () => {
  it("logs each warning of a store once, however often it looks", async () => {
    const module = await plugIn('warnings: ["update it"],');
    const file = await configured(`[backend.here]\ntype = "${module}"`);
    const { running, address } = await home.daemon(["-c", file]);
    await running.stderrMatches(/here: update it/u);
    for (let look = 0; look < 3; look++) {
      expect((await fetch(`http://${address}/readyz`)).status).toBe(200);
    }
    running.kill("SIGTERM");
    const { stderr } = await running.ended;
    expect(stderr.match(/here: update it/gu)).toHaveLength(1);
  });
});

describe("backend setup", () => {
  it("prints what PostgreSQL and DynamoDB need, and asks nobody", async () => {
    const file = await configured(
      '[backend.pg]\ntype = "postgresql"\nconnection = "postgresql://u:hunter2@127.0.0.1:1/x"\ntable = "locks.held"',
      '[backend.dynamo]\ntype = "dynamodb"\ntable = "my_locks"\nendpoint = "http://127.0.0.1:1"\naccess_key_id = "a"\nsecret_access_key = "hunter2"',
      here(),
    );
    const print = async (name: string) => {
      const ended = await home.run(["backend", "setup", name, "--print", "-c", file]);
      expect(ended).toMatchObject({ code: 0, stderr: "" });
      expect(ended.stdout).not.toContain("hunter2");
      return ended.stdout;
    };
    const sql = await print("pg");
    expect(sql).toMatch(/^CREATE TABLE IF NOT EXISTS "?locks"?\."?held"? \(\n/u);
    expect(sql).toMatch(/^\) WITH \(fillfactor = 70\);$/mu);
    expect(JSON.parse(await print("dynamo"))).toMatchObject({
      "create-table": { TableName: "my_locks", BillingMode: "PAY_PER_REQUEST" },
      "update-time-to-live": {
        TableName: "my_locks",
        TimeToLiveSpecification: { AttributeName: "prune_after", Enabled: true },
      },
    });
    expect(await print("here")).toBe(
      "here: ok: nothing has to be made for a store of type sqlite\n",
    );
  });

  it("prints for one backend at a time", async () => {
    const file = await configured(here(), '[backend.other]\ntype = "etcd"');
    const { code, stderr } = await home.run(["backend", "setup", "--print", "-c", file]);
    expect(code).toBe(64);
    expect(stderr).toContain("give its NAME, one of here, other");
  });

  it("runs where nothing can be reached only as far as it must", async () => {
    const file = await configured(
      here(),
      '[backend.pg]\ntype = "postgresql"\nconnection = "postgresql://u@127.0.0.1:1/x"\ntimeout = "1s"',
    );
    const { code, stdout } = await home.run(["backend", "setup", "-c", file]);
    expect(code).toBe(69);
    expect(stdout).toMatch(
      /^here: ok: nothing has to be made.*\npg: unusable: .*127\.0\.0\.1:1.*\n$/u,
    );
  });
});

it.each([
  [["backend"], "backend needs ACTION: check, setup"],
  [["backend", "chekc"], "did you mean check?"],
  [["backend", "check", "defualt"], "did you mean default?"],
  [["backend", "check", "--print"], "--print belongs to setup"],
  [["backend", "setup", "--prnt"], "did you mean --print?"],
  [["bakend", "check"], "did you mean backend?"],
])("%j is a mistake that is explained", async (argv, words) => {
  const { code, stderr } = await home.run(argv);
  expect(code).toBe(64);
  expect(stderr).toContain(words);
});
