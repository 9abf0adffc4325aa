// Where in a TOML text a key stands. The parser tells its values but not their lines; this
// walks over a text that the parser has accepted and looks at headers and keys alone.

/** Answers the line, from 1, of a key by its path from the root. */
export type LineOf = (path: readonly string[]) => number | undefined;

/** Finds the lines of all headers and keys in a valid TOML text. */
export function scanLines(text: string): LineOf {
  const lines = new Map<string, number>();
  const note = (path: readonly string[], line: number): void => {
    for (let length = 1; length <= path.length; length++) {
      const name = JSON.stringify(path.slice(0, length));
      if (!lines.has(name)) lines.set(name, line);
    }
  };

  const scanner = new Scanner(text);
  let table: readonly string[] = [];
  while (scanner.skipBlank()) {
    const line = scanner.line;
    if (scanner.take("[")) {
      scanner.take("[");
      table = scanner.keyPath();
      note(table, line);
      // A header that comes after its subtables' is still its own line.
      lines.set(JSON.stringify(table), line);
    } else {
      note([...table, ...scanner.keyPath()], line);
    }
    scanner.skipStatement();
  }

  return (path) => {
    // Inside an inline table or an array the line is that of the key it belongs to.
    for (let length = path.length; length > 0; length--) {
      const line = lines.get(JSON.stringify(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return undefined;
  };
}

const ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  t: "\t",
  n: "\n",
  f: "\f",
  r: "\r",
  e: "\u001b",
};

class Scanner {
  readonly #text: string;
  #at = 0;
  line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  /** Goes to the next thing that is neither space nor comment; false at the end. */
  skipBlank(): boolean {
    for (let char = this.#peek(); char !== undefined; char = this.#peek()) {
      if (char === "#") this.#skipTo("\n");
      else if (/\s|\uFEFF/u.test(char)) this.#next();
      else return true;
    }
    return false;
  }

  /** Takes the characters, none of them a line's end, if they are next. */
  take(expected: string): boolean {
    if (!this.#text.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }

  /** A dotted key, with its bare and quoted parts. */
  keyPath(): string[] {
    const path: string[] = [];
    do {
      this.#skipSpaces();
      path.push(this.#keyPart());
      this.#skipSpaces();
    } while (this.take("."));
    return path;
  }

  /** The rest of a statement, whose value may go on over many lines. */
  skipStatement(): void {
    let depth = 0;
    for (let char = this.#peek(); char !== undefined; char = this.#peek()) {
      if (char === "\n" && depth === 0) return;
      if (char === "#") {
        this.#skipTo("\n");
        continue;
      }
      if (char === '"' || char === "'") {
        this.#string();
        continue;
      }
      if (char === "[" || char === "{") depth++;
      if (char === "]" || char === "}") depth = Math.max(0, depth - 1);
      this.#next();
    }
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #next(): string {
    const char = this.#text[this.#at++] ?? "";
    if (char === "\n") this.line++;
    return char;
  }

  #skipTo(stop: string): void {
    while (this.#peek() !== undefined && this.#peek() !== stop) this.#next();
  }

  #skipSpaces(): void {
    while (this.#peek() === " " || this.#peek() === "\t") this.#next();
  }

  #keyPart(): string {
    const char = this.#peek();
    if (char === '"' || char === "'") return this.#string();
    let part = "";
    for (
      let next = this.#peek();
      next !== undefined && /[^\s.=\]#"']/u.test(next);
      next = this.#peek()
    ) {
      part += this.#next();
    }
    return part;
  }

  #string(): string {
    const quote = this.#peek() ?? "";
    const isLong = this.take(quote.repeat(3));
    if (!isLong) this.#next();
    const end = isLong ? quote.repeat(3) : quote;
    let text = "";
    while (this.#peek() !== undefined && !this.take(end)) {
      const char = this.#next();
      text += char === "\\" && quote === '"' ? this.#escape() : char;
    }
    // A long string may end in quotes of its own: """a"""" is a".
    while (isLong && this.take(quote)) text += quote;
    return text;
  }

  #escape(): string {
    const char = this.#next();
    const digits = { u: 4, U: 8, x: 2 }[char];
    if (digits === undefined) return ESCAPES[char] ?? char;
    let code = "";
    for (let count = 0; count < digits; count++) code += this.#next();
    return String.fromCodePoint(Number.parseInt(code, 16));
  }
}
