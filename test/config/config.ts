// What the tests of the configuration share.

import { z, type ZodObject } from "zod";
import { ConfigError } from "../../src/config/errors.js";
import { understand, type FileConfig } from "../../src/config/file-config.js";
import { readIniDocument } from "../../src/config/ini-document.js";
import { settleConfig, type Config, type SettleOptions } from "../../src/config/settle.js";
import { readTomlDocument } from "../../src/config/toml-document.js";

const SCHEMAS: Readonly<Record<string, ZodObject>> = {
  sqlite: z.strictObject({ path: z.string() }),
  etcd: z.strictObject({
    host: z
      .string()
      .refine((host) => !host.includes("/"), { error: "must be a host without a scheme" })
      .default("localhost"),
    port: z.int().min(1).max(65_535).default(2379),
    ca_cert: z.string().optional(),
    user: z.string().optional(),
    password: z.string().optional(),
    timeout: z.number().optional(),
  }),
  redis: z.strictObject({
    url: z.string().default("redis://localhost:6379"),
    evict: z.boolean().default(false),
    mode: z.enum(["one", "cluster"]).default("one"),
  }),
  postgresql: z.strictObject({ connection: z.string(), table: z.string().optional() }),
  dynamodb: z.strictObject({
    table: z.string().optional(),
    endpoint: z.string().optional(),
    region: z.string().optional(),
    profile: z.string().optional(),
    access_key_id: z.string().optional(),
    secret_access_key: z.string().optional(),
  }),
  "/opt/plug-in.js": z.looseObject({ place: z.string() }),
};

const backendTypes = Object.keys(SCHEMAS).filter((type) => !type.startsWith("/"));

type Given = Partial<Pick<SettleOptions, "flags" | "env" | "purpose">>;

/** Settles a TOML text as if it were in /etc/stormlock/config.toml. */
export async function fromToml(text: string, given: Given = {}): Promise<Config> {
  const document = await readTomlDocument("/etc/stormlock/config.toml", text, given.env ?? {});
  return await settled(understand(document), given);
}

/** Settles a text in the older tool's form as if it were in /home/ann/.stormlock.cfg. */
export async function fromIni(text: string, given: Given = {}): Promise<Config> {
  return await settled(understand(readIniDocument("/home/ann/.stormlock.cfg", text)), given);
}

/** Settles without any file. */
export async function settled(file?: FileConfig, given: Given = {}): Promise<Config> {
  return await settleConfig({
    flags: {},
    env: {},
    purpose: "client",
    ...given,
    file,
    home: "/home/ann",
    cwd: "/work",
    backendKeys: (type, folder) => {
      const schema = type.startsWith("/") && folder === undefined ? undefined : SCHEMAS[type];
      return Promise.resolve(
        schema === undefined ? { kind: "missing", lookedIn: [] } : { kind: "known", schema },
      );
    },
    backendTypes,
  });
}

/** The lines of complaint that something ends in. */
export async function complaintsOf(work: Promise<unknown>): Promise<string[]> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  return [];
}
