// `backend check` and `backend setup` of the built program, on every store.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CliHome } from "../support/cli.js";
import { stores, titleOf, type Store } from "../support/stores.js";

interface Report {
  readonly ok: boolean;
  readonly backends: readonly {
    readonly findings: readonly { readonly level: string; readonly step: string }[];
  }[];
}

describe.each(stores)("$type, on the operator's commands", (kind) => {
  describe.skipIf(kind.missing !== undefined)(titleOf(kind), () => {
    let store: Store;
    let home: CliHome;

    beforeAll(async () => {
      store = await kind.start();
      home = await CliHome.make();
    });
    afterAll(async () => {
      await home[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    });

    it.each(["toml", "ini"] as const)(
      "all is right, from %s, and nothing stays held",
      async (form) => {
        const { env } = store;
        const file = await home.file(`locks.${form}`, store[form]);
        const { code, stdout, stderr } = await home.run(
          ["backend", "check", "--json", "-c", file],
          { env },
        );
        expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: "" });
        const { ok, backends } = JSON.parse(stdout) as Report;
        expect(ok).toBe(true);
        const done = backends[0]?.findings.filter(({ level }) => level === "ok");
        expect(done?.map(({ step }) => step)).toEqual([
          ...["open", "check", "acquire", "refuse", "renew", "is-held", "release"],
        ]);
        expect((await home.run(["list", "-c", file], { env })).stdout).toBe("");
        const setup = await home.run(["backend", "setup", "-c", file], { env });
        const makesTables = kind.type === "postgresql" || kind.type === "dynamodb";
        expect(setup.code).toBe(0);
        expect(setup.stdout).toContain(
          makesTables ? "there is the table" : "nothing has to be made",
        );
      },
    );

    it("a store that has gone is said so in one line, without secrets", async () => {
      const { env } = store;
      const file = await home.file("locks.toml", store.toml);
      await store.end();
      const { code, stdout, stderr } = await home.run(["backend", "check", "-c", file], { env });
      await store.again();
      expect({ code, stderr }, stdout).toEqual({ code: 69, stderr: "" });
      expect(stdout.match(/^main: unusable: \S[^\n]*$/gmu)).toHaveLength(1);
      for (const secret of Object.values(env)) expect(stdout).not.toContain(secret);
    });
  });
});
