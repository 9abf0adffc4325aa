// What may be shown of a value. Rather too little than too much.

const SECRET_KEY = /pass(?:word|wd|phrase)|^pwd$|secret|token|credential|private_?key/iu;

// Everything up to the last @ may belong to a password that was not percent-encoded.
const URL_LOGIN = /([a-z][a-z0-9+.-]*:\/\/)([^\s"']*)@/giu;
// `password=x` of a connection string, `?password=x` of a URL.
const NAMED_SECRET =
  /([a-z_]*(?:passw(?:or)?d|passphrase|pwd|secret|token)[a-z_]*\s*=\s*)(?:'(?:[^'\\]|\\.)*'?|[^\s&;'"]+)/giu;

export const MASK = "***";

/** Whether a key's value is a secret as a whole. */
export function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key);
}

/** A text without the passwords in its URLs and connection strings. */
export function withoutSecrets(text: string): string {
  return text
    .replace(URL_LOGIN, (_whole, scheme: string, login: string) => {
      const [user = ""] = login.split(":", 1);
      return login.includes(":") ? `${scheme}${user}:${MASK}@` : `${scheme}${login}@`;
    })
    .replace(NAMED_SECRET, `$1${MASK}`);
}

/** A value of a key as it may be shown: of the same shape, its secrets masked. */
export function masked(key: string, value: unknown): unknown {
  if (value instanceof Date) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => masked(key, item));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([inner, item]) => [
        inner,
        masked(isSecretKey(key) ? key : inner, item),
      ]),
    );
  }
  if (isSecretKey(key)) return MASK;
  return typeof value === "string" ? withoutSecrets(value) : value;
}

const LONGEST_SHOWN = 60;

/** A value for a message: masked, on one line, and not longer than is readable. */
export function shown(key: string, value: unknown): string {
  if (isSecretKey(key)) return "a value that is not shown";
  const safe = masked(key, value);
  if (typeof safe === "object" && safe !== null) {
    if (Array.isArray(safe)) return `[${safe.map((item) => shown(key, item)).join(", ")}]`;
    return safe instanceof Date ? safe.toISOString() : "a table";
  }
  if (typeof safe !== "string") return String(safe);
  const characters = Array.from(safe);
  const cut =
    characters.length > LONGEST_SHOWN ? `${characters.slice(0, LONGEST_SHOWN).join("")}…` : safe;
  return quoted(cut);
}

/** A text in double quotes, on one line, with nothing in it that moves a terminal. */
export function quoted(text: string): string {
  const escape = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(text).replace(/[\u007f-\u009f]/gu, escape);
}
