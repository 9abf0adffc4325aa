import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/errors.js";
import { understand } from "../../src/config/file-config.js";
import { readIniDocument } from "../../src/config/ini-document.js";
import { settleConfig, type Config, type SettleOptions } from "../../src/config/settle.js";
import { showConfig } from "../../src/config/show.js";
import { readTomlDocument } from "../../src/config/toml-document.js";
import { z } from "zod";

interface Asked {
  readonly type: string;
  readonly folder: string | undefined;
}

/** Settles a file, and tells which types were looked for, and where. */
async function settle(
  name: string,
  text: string,
  given: Partial<Pick<SettleOptions, "env">> = {},
): Promise<{
  readonly config: Config | undefined;
  readonly said: string;
  readonly asked: Asked[];
}> {
  const env = given.env ?? {};
  const asked: Asked[] = [];
  const document = name.endsWith(".toml")
    ? await readTomlDocument(name, text, env)
    : readIniDocument(name, text);
  try {
    const config = await settleConfig({
      ...{ flags: {}, env, purpose: "check", home: "/home/ann", cwd: "/", uid: 1 },
      file: understand(document),
      backendTypes: ["etcd", "sqlite"],
      backendKeys: (type, folder) => {
        asked.push({ type, folder });
        if (type === "sqlite") {
          return Promise.resolve({ kind: "known", schema: z.strictObject({ path: z.string() }) });
        }
        if (type === "broken") {
          return Promise.resolve({ kind: "unusable", why: "/x/broken.js cannot be loaded: boom" });
        }
        return Promise.resolve(
          type.includes("store") && folder !== undefined
            ? { kind: "known", schema: z.looseObject({}) }
            : { kind: "missing", lookedIn: folder === undefined ? [] : [`${folder}/node_modules`] },
        );
      },
    });
    return { config, said: "", asked };
  } catch (thrown) {
    if (!(thrown instanceof ConfigError)) throw thrown;
    return { config: undefined, said: thrown.message, asked };
  }
}

const toml = (type: string, more = ""): string =>
  `[default]\nbackend = "mine"\n[backend.mine]\n${type}\n${more}`;
const FILE = "/etc/stormlock/config.toml";
const FOLDER = "/etc/stormlock";

describe("a plug-in", () => {
  test.each(["some-store", "@me/store", "/opt/store.js"])(
    "%s is looked for from the configuration's folder on",
    async (type) => {
      const { config, asked } = await settle(FILE, toml(`type = "${type}"`, "size = 3\n"));
      expect(asked).toEqual([{ type, folder: FOLDER }]);
      expect(config?.backends.get("mine")).toMatchObject({
        type,
        folder: FOLDER,
        settings: { size: 3 },
      });
    },
  );

  test("that is not there is named with the folders where it could have been", async () => {
    const { said } = await settle(FILE, toml('type = "nothing-like-it"'));
    expect(said).toBe(
      `${FILE}:4: [backend.mine] type: found a type of backend that is not there: "nothing-like-it"; expected etcd, sqlite, or a plug-in's package; there is none in ${FOLDER}/node_modules, nor above them`,
    );
  });

  test("a mistyped type of ours still has its suggestion", async () => {
    const { said } = await settle(FILE, toml('type = "sqlit"'));
    expect(said).toContain('that is not there: "sqlit"; did you mean sqlite?');
  });

  test("that cannot be used says why, with its line", async () => {
    const { said } = await settle(FILE, toml('type = "broken"'));
    expect(said).toBe(
      `${FILE}:4: [backend.mine] type: found "broken", and /x/broken.js cannot be loaded: boom; expected the module of a plug-in, which exports a backend`,
    );
  });

  test("is never named by a variable", async () => {
    const { said, asked } = await settle(FILE, toml('type = "${STORE}"'), {
      env: { STORE: "some-store" },
    });
    expect(asked).toEqual([{ type: "some-store", folder: undefined }]);
    expect(said).toContain("the name of a plug-in has to be written out");
  });

  test("is never what STORMLOCK_BACKEND names, nor the name of a section", async () => {
    const env = { STORMLOCK_BACKEND: "/tmp/store.js" };
    const { said, asked } = await settle(FILE, '[backend.here]\ntype = "sqlite"\npath = "/x"\n', {
      env,
    });
    expect(asked).toEqual([{ type: "sqlite", folder: FOLDER }]);
    expect(said).toContain("STORMLOCK_BACKEND");
    const bare = await settle(FILE, '[default]\nbackend = "some-store"\n[backend.some-store]\n');
    expect(bare.asked).toEqual([{ type: "some-store", folder: undefined }]);
    expect(bare.said).toContain("[backend.some-store]: found a type of backend that is not there");
  });

  // Such a file may be found in the folder where somebody happens to stand.
  test("is never named by a file of the older form", async () => {
    const ini = "[default]\nbackend = mine\n[backend.mine]\ntype = some-store\n";
    const { config, asked } = await settle("/work/.stormlock.cfg", ini);
    expect(asked).toEqual([{ type: "some-store", folder: undefined }]);
    expect(config?.backends.get("mine")?.problem).toContain("only a TOML file can name a plug-in");
    const implied = await settle("/work/.stormlock.cfg", "[default]\nbackend = some-store\n");
    expect(implied.asked).toEqual([{ type: "some-store", folder: undefined }]);
  });

  test("a relative path says what would be right", async () => {
    const { said } = await settle(FILE, toml('type = "./elsewhere.js"'));
    expect(said).toContain('that is not there: "./elsewhere.js"; expected etcd, sqlite, ');
  });

  test("has its secrets masked where their keys tell, or they stand in a URL", async () => {
    const more =
      'password = "hunter2"\napi_token = "tok"\nurl = "x://me:pw@host"\nnest = { secret = "s3" }\n';
    const { config } = await settle(FILE, toml('type = "some-store"', more));
    if (config === undefined) throw new Error("it should be right");
    const text = showConfig(config);
    expect(text).toContain('password = "***"');
    expect(text).toContain('url = "x://me:***@host"');
    for (const secret of ["hunter2", 'tok"', ":pw@", "s3"]) expect(text).not.toContain(secret);
  });
});
