import type { ZodObject } from "zod";
import { DURATION_FORM, parseDuration } from "../../lock/duration.js";

/** What a configuration says of a table; the names are those that the older tool has. */
export interface DynamodbSettings {
  readonly table?: string | undefined;
  /** Another place than AWS's own for the region, as a URL. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  /** A profile of the AWS configuration files, for credentials and region. */
  readonly profile?: string | undefined;
  readonly access_key_id?: string | undefined;
  readonly secret_access_key?: string | undefined;
  readonly session_token?: string | undefined;
  /** How far the clocks of two clients may be apart, as a duration. */
  readonly max_clock_skew?: string | undefined;
  /** How long a call may take, as a duration. */
  readonly timeout?: string | undefined;
}

/** The settings with everything filled in that has a default. */
export interface Options {
  readonly table: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly profile: string | undefined;
  readonly credentials: Credentials | undefined;
  readonly maxClockSkewMs: number;
  readonly timeoutMs: number;
  /** The table and where it is, for messages. */
  readonly place: string;
}

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

const TABLE = "stormlock_leases";
const MAX_CLOCK_SKEW_MS = 1000;
const TIMEOUT_MS = 5000;

// Below these, ordinary networks and clocks look like faults.
const LEAST_SKEW_MS = 100;
const LEAST_TIMEOUT_MS = 500;

const TABLE_NAME = /^[A-Za-z0-9_.-]{3,255}$/u;

/** What a configuration may say. Asynchronous, since zod is slow to load. */
export async function dynamodbSettings(): Promise<ZodObject> {
  const { z } = await import("zod");
  const text = z.string().min(1, { error: "must be a text that is not empty" });
  const duration = (least: number, example: string) =>
    z.string().refine((value) => (parseDuration(value) ?? -1) >= least, {
      error: `must be ${DURATION_FORM}, and at least ${String(least)}ms, e.g. ${example}`,
    });
  return z
    .strictObject({
      table: z
        .string()
        .regex(TABLE_NAME, {
          error: "must be a table's name: 3 to 255 of A-Z a-z 0-9 _ . -, e.g. stormlock_leases",
        })
        .optional(),
      endpoint: z
        .string()
        .refine(isWebAddress, { error: "must be a URL such as http://127.0.0.1:8000" })
        .optional(),
      region: text.optional(),
      profile: text.optional(),
      access_key_id: text.optional(),
      secret_access_key: text.optional(),
      session_token: text.optional(),
      max_clock_skew: duration(LEAST_SKEW_MS, "1s").optional(),
      timeout: duration(LEAST_TIMEOUT_MS, "5s").optional(),
    })
    .refine(
      ({ access_key_id: id, secret_access_key: key }) => (id === undefined) === (key === undefined),
      {
        error: "must be both access_key_id and secret_access_key, or neither",
      },
    )
    .refine(
      ({ access_key_id: id, session_token: token }) => token === undefined || id !== undefined,
      {
        error: "must be session_token beside access_key_id and secret_access_key, or none",
      },
    );
}

export function optionsOf(settings: DynamodbSettings): Options {
  const { table = TABLE, endpoint, region, profile } = settings;
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey } = settings;
  const { session_token: sessionToken } = settings;
  const where =
    endpoint === undefined ? (region ?? "the default region") : new URL(endpoint).origin;
  return {
    ...{ table, endpoint, region, profile },
    credentials:
      accessKeyId === undefined || secretAccessKey === undefined
        ? undefined
        : { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
    maxClockSkewMs: durationOr(settings.max_clock_skew, MAX_CLOCK_SKEW_MS),
    timeoutMs: durationOr(settings.timeout, TIMEOUT_MS),
    place: `${table} (DynamoDB, ${where})`,
  };
}

function durationOr(text: string | undefined, fallbackMs: number): number {
  return (text === undefined ? undefined : parseDuration(text)) ?? fallbackMs;
}

function isWebAddress(text: string): boolean {
  return /^https?:\/\//u.test(text) && URL.canParse(text);
}
