// The form of the older tool's files, as Python's ConfigParser reads it:
//
//   - `key = value` or `key: value`; keys are case-insensitive, values are not;
//   - a line whose first character is `#` or `;` is a comment; further on they are text;
//   - a line indented deeper than its key goes on with the value, blank lines included;
//   - `[DEFAULT]` gives keys to every section;
//   - `%(key)s` stands for another value of the section, `%%` for a percent sign;
//   - a section or a key given twice is a mistake.

/** A mistake in the text. */
export interface IniFault {
  readonly line: number;
  /** The section, for messages; empty before the first. */
  readonly section: string;
  readonly found: string;
  readonly expected: string;
}

export interface IniEntry {
  /** In lower case. */
  readonly key: string;
  /** As written: not interpolated. */
  readonly value: string;
  readonly line: number;
}

export interface IniSection {
  readonly name: string;
  readonly line: number;
  readonly entries: ReadonlyMap<string, IniEntry>;
}

export interface IniFile {
  /** The keys of `[DEFAULT]`. */
  readonly defaults: ReadonlyMap<string, IniEntry>;
  readonly sections: readonly IniSection[];
  readonly faults: readonly IniFault[];
}

interface OpenEntry {
  readonly key: string;
  readonly line: number;
  readonly lines: string[];
}

interface OpenSection {
  readonly name: string;
  readonly line: number;
  readonly entries: Map<string, OpenEntry>;
}

const COMMON = "DEFAULT";

/** Reads a file; what is wrong with it is in `faults`. */
export function readIni(text: string): IniFile {
  const common: OpenSection = { name: COMMON, line: 0, entries: new Map() };
  const sections = new Map<string, OpenSection>();
  const faults: IniFault[] = [];
  let section: OpenSection | undefined;
  let entry: OpenEntry | undefined;
  let indent = 0;
  let isLost = false;

  const fault = (line: number, found: string, expected: string): void => {
    faults.push({ line, section: section?.name ?? "", found, expected });
  };

  for (const [index, raw] of text
    .replace(/^\uFEFF/u, "")
    .split(/\r\n|\r|\n/u)
    .entries()) {
    const line = index + 1;
    const content = raw.trim();
    if (/^[#;]/u.test(content)) continue;
    if (content === "") {
      entry?.lines.push("");
      continue;
    }
    const depth = raw.search(/\S/u);
    if (entry !== undefined && depth > indent) {
      entry.lines.push(content);
      continue;
    }
    indent = depth;
    entry = undefined;

    const name = /^\[(.+)\]/su.exec(content)?.[1];
    if (name !== undefined) {
      if (sections.has(name)) {
        const first = String(sections.get(name)?.line);
        fault(
          line,
          `section [${name}] a second time`,
          `one section of that name, as on line ${first}`,
        );
      }
      section = name === COMMON ? common : { name, line, entries: new Map() };
      // A second one is read on its own, so that its keys are not called duplicates as well.
      if (section !== common && !sections.has(name)) sections.set(name, section);
      continue;
    }
    if (section === undefined) {
      if (!isLost) fault(line, "text before any section", "a section first, such as [default]");
      isLost = true;
      continue;
    }
    const [, writtenKey = "", value = ""] = /^(.*?)\s*[=:]\s*(.*)$/su.exec(content) ?? [];
    if (writtenKey === "") {
      fault(
        line,
        "neither a section nor a key with a value",
        "[section], key = value or key: value",
      );
      continue;
    }
    const key = writtenKey.toLowerCase();
    entry = { key, line, lines: [value] };
    const first = section.entries.get(key);
    if (first === undefined) section.entries.set(key, entry);
    else fault(line, `${key} a second time`, `one ${key}, as on line ${String(first.line)}`);
  }

  const joined = ({ entries }: OpenSection): ReadonlyMap<string, IniEntry> =>
    new Map(
      Array.from(entries, ([key, open]) => [
        key,
        { key, line: open.line, value: open.lines.join("\n").trimEnd() },
      ]),
    );
  return {
    defaults: joined(common),
    sections: Array.from(sections.values(), (open) => ({
      name: open.name,
      line: open.line,
      entries: joined(open),
    })),
    faults,
  };
}

export type Interpolated =
  | { readonly kind: "text"; readonly text: string; readonly uses: readonly string[] }
  | { readonly kind: "bad"; readonly found: string; readonly expected: string };

const DEEPEST = 10;

/**
 * A value with its `%` replaced.
 * @param values all keys of the section, those of `[DEFAULT]` included, as written
 */
export function interpolate(value: string, values: ReadonlyMap<string, string>): Interpolated {
  const uses: string[] = [];
  // A generous bound on what ten levels of references to each other could multiply to.
  let left = 10_000;

  const expand = (rest: string, depth: number): string => {
    if (depth > DEEPEST) throw new BadReference("values that refer to each other", "no circle");
    let text = "";
    let at = 0;
    for (const percent of rest.matchAll(/%(?:%|\(([^)]+)\)s|)/gu)) {
      text += rest.slice(at, percent.index);
      at = percent.index + percent[0].length;
      if (--left < 0) throw new BadReference("values that refer to too many others", "fewer");
      if (percent[0] === "%%") {
        text += "%";
        continue;
      }
      const key = percent[1]?.toLowerCase();
      if (key === undefined) {
        throw new BadReference("a % that stands alone", "%% for a percent sign, or %(key)s");
      }
      const referred = values.get(key);
      if (referred === undefined) {
        throw new BadReference(`%(${key})s`, `a key ${key} in the same section or in [DEFAULT]`);
      }
      uses.push(key);
      text += referred.includes("%") ? expand(referred, depth + 1) : referred;
    }
    return text + rest.slice(at);
  };

  try {
    return { kind: "text", text: expand(value, 1), uses };
  } catch (error) {
    if (!(error instanceof BadReference)) throw error;
    return { kind: "bad", found: error.found, expected: error.expected };
  }
}

class BadReference extends Error {
  readonly found: string;
  readonly expected: string;

  constructor(found: string, expected: string) {
    super(found);
    this.found = found;
    this.expected = expected;
  }
}
