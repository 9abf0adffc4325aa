import type { ZodObject } from "zod";
import { parseDuration } from "../../lock/duration.js";
import { ADDRESS_FORM, parseAddress } from "./address.js";

/** What a configuration says of a store in Redis or Valkey. */
export interface RedisSettings {
  /** Where it is; see parseAddress. */
  readonly url: string;
  /** Who logs in, when the url does not say it. */
  readonly user?: string;
  readonly password?: string;
  /** The same for the sentinels, which have users of their own. */
  readonly sentinel_user?: string;
  readonly sentinel_password?: string;
  /** Paths of PEM files, for TLS: whom to trust, and who one is. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** What all keys begin with, in braces: stores with other prefixes are other stores. */
  readonly prefix?: string;
  /** How long a question may take, such as 5s. */
  readonly timeout?: string;
  /** Use a server that may throw keys away when its memory is full. */
  readonly allow_eviction?: boolean;
}

export const DEFAULT_PREFIX = "stormlock";
export const DEFAULT_TIMEOUT = "5s";
const LEAST_TIMEOUT_MS = 100;
const MOST_TIMEOUT_MS = 60_000;

/** What may be said. Asynchronous, since zod is slow to load. */
export async function redisSettings(): Promise<ZodObject> {
  const { z } = await import("zod");
  const text = z.string().min(1, { error: "must be a text that is not empty" });
  return z
    .strictObject({
      url: z.string().refine((url) => parseAddress(url) !== undefined, { error: ADDRESS_FORM }),
      user: text.optional(),
      password: text.optional(),
      sentinel_user: text.optional(),
      sentinel_password: text.optional(),
      ca: text.optional(),
      cert: text.optional(),
      key: text.optional(),
      // Braces are what a cluster finds its slot by.
      prefix: z
        .string()
        .regex(/^[^{}\p{Cc}]{1,100}$/u, {
          error: "must be 1 to 100 characters without { } and control characters",
        })
        .optional(),
      timeout: z
        .string()
        .refine(isTimeout, { error: "must be a duration from 100ms to 1m, such as 5s" })
        .optional(),
      allow_eviction: z.boolean().optional(),
    })
    .superRefine((settings, context) => {
      const complain = (key: string, message: string): void => {
        context.addIssue({ code: "custom", path: [key], message });
      };
      const address = parseAddress(settings.url);
      for (const key of ["ca", "cert", "key"] as const) {
        if (settings[key] === undefined || address?.isEncrypted !== false) continue;
        complain(key, "must be left out, or the url must begin with rediss");
      }
      for (const key of ["sentinel_user", "sentinel_password"] as const) {
        if (settings[key] === undefined || address?.kind === "sentinel") continue;
        complain(key, "must be left out, or the url must begin with redis+sentinel");
      }
      if (settings.cert !== undefined && settings.key === undefined) {
        complain("cert", "must have the key that belongs to it beside it");
      }
      if (settings.key !== undefined && settings.cert === undefined) {
        complain("key", "must have the cert that belongs to it beside it");
      }
      if (settings.user !== undefined && settings.password === undefined) {
        complain("user", "must have a password beside it");
      }
    });
}

function isTimeout(text: string): boolean {
  const ms = parseDuration(text) ?? 0;
  return ms >= LEAST_TIMEOUT_MS && ms <= MOST_TIMEOUT_MS;
}
