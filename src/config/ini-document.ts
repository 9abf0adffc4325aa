import type { Document, DocumentSection, Entry } from "./document.js";
import { interpolate, readIni, type IniEntry, type IniSection } from "./ini.js";

/** Reads a file of the older tool. It has no daemon: there `[daemon]` is a resource. */
export function readIniDocument(path: string, text: string): Document {
  const { defaults, sections, faults } = readIni(text);
  const hasDefault = sections.some(({ name }) => name === "default");
  const all: readonly IniSection[] =
    // Python gives the keys of [DEFAULT] to sections that exist.
    hasDefault ? sections : [{ name: "default", line: 0, entries: new Map() }, ...sections];
  return {
    path,
    dialect: "ini",
    sections: all.map((section) => sectionOf(section, section.line === 0 ? new Map() : defaults)),
    complaints: faults.map(({ line, section, found, expected }) => ({
      file: path,
      line,
      key: section === "" ? "the file" : `[${section}]`,
      found,
      expected,
    })),
    warnings: [],
  };
}

function sectionOf(section: IniSection, defaults: ReadonlyMap<string, IniEntry>): DocumentSection {
  const together = new Map([...defaults, ...section.entries]);
  const values = new Map(Array.from(together, ([key, { value }]) => [key, value]));
  const tolerated = new Set(Array.from(defaults.keys()).filter((key) => !section.entries.has(key)));
  const entries: Entry[] = [];
  for (const { key, value, line } of together.values()) {
    const interpolated = interpolate(value, values);
    const common = { key, line, written: value, isSubstituted: false };
    if (interpolated.kind === "bad") {
      const { found, expected } = interpolated;
      entries.push({ ...common, value: undefined, problem: { found, expected } });
      continue;
    }
    entries.push({ ...common, value: interpolated.text });
    for (const used of interpolated.uses) tolerated.add(used);
  }
  return { ...kindOf(section.name), line: section.line || undefined, entries, tolerated };
}

function kindOf(name: string): Pick<DocumentSection, "kind" | "name"> {
  if (name === "default") return { kind: "default", name };
  if (name.startsWith("backend.")) return { kind: "backend", name: name.slice("backend.".length) };
  return { kind: "resource", name };
}
