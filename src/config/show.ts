// The configuration that counts, as a TOML file that says of every value where it is from.

import { formatDuration } from "../lock/duration.js";
import { DEFAULT_RULE, type Rule } from "../lock/policy.js";
import { headerOf } from "./document.js";
import { originText } from "./origin.js";
import { masked, quoted } from "./secrets.js";
import type { Config } from "./settle.js";

/**
 * The effective configuration as TOML, secrets masked; a value with variables stands as it
 * was written.
 */
export function showConfig(config: Config): string {
  const { policy, backends, client, daemon, origins } = config;
  const sections: string[] = [];
  const add = (header: string, values: readonly (readonly [string, unknown, string])[]): void => {
    const lines = values
      .filter(([, value]) => value !== undefined)
      .map(
        ([key, value, origin]) => `${bareKey(key)} = ${toToml(masked(key, value))}  # ${origin}`,
      );
    sections.push([header, ...lines].join("\n"));
  };
  // Sections are named as the file's dialect has them, but shown as TOML.
  const from = (header: string, key: string): string => originText(origins.get(`${header} ${key}`));

  const fallback: Rule = { ...DEFAULT_RULE, ...policy.fallback };
  add("[default]", [
    ...ruleValues(fallback).map(([key, value]) => [key, value, from("[default]", key)] as const),
    [
      "server",
      client.servers.length === 0 ? undefined : client.servers,
      from("[default]", "server"),
    ],
    ["tls", client.tls, from("[default]", "tls")],
    ["ca", client.ca, from("[default]", "ca")],
    ["cert", client.cert, from("[default]", "cert")],
    ["key", client.key, from("[default]", "key")],
  ]);
  for (const { pattern, rule } of policy.sections) {
    const named = { kind: "resource", name: pattern } as const;
    const place = headerOf(config.dialect, named);
    add(
      headerOf("toml", named),
      ruleValues(rule).map(([key, value]) => [key, value, from(place, key)] as const),
    );
  }
  for (const { name, type, shown, where, problem } of backends.values()) {
    const section = where.get("") ?? "";
    add(headerOf("toml", { kind: "backend", name }), [
      ["type", type, where.get("type") ?? section],
      ...Object.entries(shown).map(
        ([key, value]) => [key, value, where.get(key) ?? section] as const,
      ),
    ]);
    if (problem !== undefined) {
      sections.push(
        problem
          .split("\n")
          .map((line) => `# ${line}`)
          .join("\n"),
      );
    }
  }
  add("[daemon]", [
    ["listen", daemon.listen, from("[daemon]", "listen")],
    ["http", daemon.http.length === 0 ? undefined : daemon.http, from("[daemon]", "http")],
    ["cert", daemon.tls?.cert, from("[daemon]", "cert")],
    ["key", daemon.tls?.key, from("[daemon]", "key")],
    ["client_ca", daemon.tls?.clientCa, from("[daemon]", "client_ca")],
    ["insecure", daemon.insecure, from("[daemon]", "insecure")],
    ["log_level", daemon.logLevel, from("[daemon]", "log_level")],
  ]);
  return `${sections.join("\n\n")}\n`;
}

function ruleValues(rule: Partial<Rule>): (readonly [string, string | undefined])[] {
  const duration = (ms: number | undefined): string | undefined =>
    ms === undefined ? undefined : formatDuration(ms);
  return [
    ["ttl", duration(rule.ttlMs)],
    ["min_ttl", duration(rule.minTtlMs)],
    ["max_ttl", duration(rule.maxTtlMs)],
    ["principal", rule.principal],
    ["backend", rule.backend],
  ];
}

function bareKey(key: string): string {
  return /^[\w-]+$/u.test(key) ? key : quoted(key);
}

function toToml(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return `[${value.map(toToml).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const items = Object.entries(value).map(([key, item]) => `${bareKey(key)} = ${toToml(item)}`);
    return items.length === 0 ? "{}" : `{ ${items.join(", ")} }`;
  }
  return String(value);
}
