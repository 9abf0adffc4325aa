import type { TomlError } from "smol-toml";
import type { Document, DocumentSection, Entry } from "./document.js";
import type { Complaint } from "./errors.js";
import { shown } from "./secrets.js";
import { substitute, type Environment } from "./substitute.js";
import { suggest } from "./suggestion.js";
import { scanLines, type LineOf } from "./toml-lines.js";

type Table = Record<string, unknown>;

/** Reads a TOML file. The parser is loaded only here: a command without a file needs none. */
export async function readTomlDocument(
  path: string,
  text: string,
  env: Environment,
): Promise<Document> {
  const { parse, TomlError } = await import("smol-toml");
  try {
    const root = parse(text.replace(/^\uFEFF/u, "")) as Table;
    return new TomlReader(path, scanLines(text), env).read(root);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return {
      path,
      dialect: "toml",
      sections: [],
      complaints: [syntaxComplaint(path, error)],
      warnings: [],
    };
  }
}

function syntaxComplaint(path: string, error: TomlError): Complaint {
  const [, why = error.message] = /^Invalid TOML document: ([^\n]*)/u.exec(error.message) ?? [];
  const isOtherName = !path.endsWith(".toml");
  return {
    file: path,
    line: error.line,
    key: `column ${String(error.column)}`,
    found: `a mistake in the TOML (${why})`,
    expected: isOtherName
      ? 'key = "value"; a file in the older tool\'s form must be named .cfg or .ini'
      : 'key = "value", with texts in quotes',
  };
}

class TomlReader {
  readonly #path: string;
  readonly #lineOf: LineOf;
  readonly #env: Environment;
  readonly #sections: DocumentSection[] = [];
  readonly #complaints: Complaint[] = [];
  readonly #warnings: string[] = [];

  constructor(path: string, lineOf: LineOf, env: Environment) {
    this.#path = path;
    this.#lineOf = lineOf;
    this.#env = env;
  }

  read(root: Table): Document {
    for (const [name, value] of Object.entries(root)) {
      if (!isTable(value)) this.#complainOfTop(name, value);
      else if (name === "default" || name === "daemon") this.#addSection(name, name, value, [name]);
      else if (name === "backend") this.#addBackends(value);
      else this.#addResource(name, value);
    }
    return {
      path: this.#path,
      dialect: "toml",
      sections: this.#sections,
      complaints: this.#complaints,
      warnings: this.#warnings,
    };
  }

  #complainOfTop(name: string, value: unknown): void {
    this.#complaints.push({
      file: this.#path,
      line: this.#lineOf([name]),
      key: name,
      found: isArrayOfTables(value) ? `[[${name}]]` : `${shown(name, value)} before any section`,
      expected: isArrayOfTables(value) ? `[${name}]` : "a section first, such as [default]",
    });
  }

  #addBackends(backends: Table): void {
    for (const [name, value] of Object.entries(backends)) {
      const path = ["backend", name];
      if (isTable(value)) {
        this.#addSection("backend", name, value, path);
        continue;
      }
      this.#complaints.push({
        file: this.#path,
        line: this.#lineOf(path),
        key: `[backend] ${name}`,
        found: shown(name, value),
        expected: "a section for every backend, such as [backend.main]",
      });
    }
  }

  #addResource(name: string, table: Table): void {
    const nested = Object.entries(table).filter(([, value]) => isTable(value));
    for (const [key] of nested) {
      this.#complaints.push({
        file: this.#path,
        line: this.#lineOf([name, key]),
        key: `[${name}.${key}]`,
        found: "a section in a section",
        expected: `quotes around a resource's name with dots: ["${name}.${key}"]`,
        suggestion: suggest(name, ["backend"]) === undefined ? undefined : `[backend.${key}]`,
      });
    }
    const reserved = suggest(name, ["default", "daemon"]);
    if (reserved !== undefined && nested.length === 0) {
      const line = String(this.#lineOf([name]));
      this.#warnings.push(
        `${this.#path}:${line}: [${name}] is read as a resource of that name; did you mean [${reserved}]?`,
      );
    }
    const plain = Object.entries(table).filter(([, value]) => !isTable(value));
    if (plain.length > 0 || nested.length === 0) {
      this.#addSection("resource", name, Object.fromEntries(plain), [name]);
    }
  }

  #addSection(
    kind: DocumentSection["kind"],
    name: string,
    table: Table,
    path: readonly string[],
  ): void {
    const entries = Object.entries(table).map(([key, written]): Entry => {
      const common = { key, written, line: this.#lineOf([...path, key]) };
      const { value, missing, isSubstituted } = substitute(written, this.#env);
      if (missing.length === 0) return { ...common, value, isSubstituted };
      const expected = `the environment variable ${missing.join(" and ")}, which is not set`;
      const problem = { found: shown(key, written), expected };
      return { ...common, value: undefined, isSubstituted, problem };
    });
    this.#sections.push({ kind, name, line: this.#lineOf(path), entries, tolerated: new Set() });
  }
}

function isTable(value: unknown): value is Table {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}

function isArrayOfTables(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isTable);
}
