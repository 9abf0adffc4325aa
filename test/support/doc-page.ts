// A page for readers, as a test sees it: its blocks of code, and what each of them claims.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** One fenced block. */
export interface Block {
  readonly language: string;
  readonly text: string;
  /** Of its first line of text, from 1. */
  readonly line: number;
}

/** A command of a transcript, and what the page says that it prints. */
export interface Exchange {
  readonly command: string;
  readonly printed: string;
}

/** All pages, by their paths. */
export function pages(root: string): string[] {
  const docs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" });
  const inDocs = docs.filter((name) => name.endsWith(".md")).map((name) => join("docs", name));
  return ["README.md", "CHANGELOG.md", ...inDocs.sort()];
}

export function blocksOf(path: string): Block[] {
  const blocks: Block[] = [];
  let open: { language: string; line: number; lines: string[] } | undefined;
  readFileSync(path, "utf8")
    .split("\n")
    .forEach((line, at) => {
      const fence = /^```(.*)$/u.exec(line);
      if (fence === null) open?.lines.push(line);
      else if (open === undefined) open = { language: fence[1] ?? "", line: at + 2, lines: [] };
      else {
        const { language, line: first, lines } = open;
        blocks.push({ language, line: first, text: lines.join("\n") });
        open = undefined;
      }
    });
  if (open !== undefined) throw new Error(`${path}:${String(open.line)}: a block has no end`);
  return blocks;
}

/** The exchanges of a transcript: `$ ` begins a command, `> ` carries it on. */
export function exchangesOf({ text, line }: Block): Exchange[] {
  const exchanges: { command: string; printed: string }[] = [];
  for (const each of text.split("\n")) {
    const last = exchanges.at(-1);
    if (each.startsWith("$ ")) exchanges.push({ command: each.slice(2), printed: "" });
    else if (last === undefined)
      throw new Error(`line ${String(line)}: a transcript begins with $`);
    else if (each.startsWith("> ") && last.printed === "") last.command += `\n${each.slice(2)}`;
    else last.printed += `${each}\n`;
  }
  return exchanges;
}

/** What is another one every time, by the name of what it is. */
const CHANGING: readonly [RegExp, string][] = [
  [/\b[0-9a-f]{32}\b/gu, "ID"],
  [/\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/gu, "TIME"],
  [/\b\d{16}\b/gu, "TOKEN"],
  [/"\d+(?:\.\d+)?s"/gu, '"SECONDS"'],
  [/\bfor \d+s\b/gu, "for SECONDS"],
];

/** What was printed, in a form in which two runs are alike; JSON without its layout. */
export function normalized(printed: string): string {
  const text = CHANGING.reduce((all, [form, name]) => all.replaceAll(form, name), printed).trim();
  if (!text.startsWith("{")) return text;
  return JSON.stringify(JSON.parse(text));
}
