import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { isCi } from "./ci.js";
import { until } from "./hold-bench.js";

/** Whether this machine can show a terminal to a test; in CI it must. */
export const hasTmux = isCi || spawnSync("tmux", ["-V"]).status === 0;

/** A real terminal with an interactive shell in it, for a test to type into. */
export class Terminal implements AsyncDisposable {
  readonly #socket: string;

  constructor(folder: string, name: string) {
    mkdirSync(folder, { recursive: true });
    this.#socket = join(folder, `${name}.tmux`);
    const shell = "env PS1=ready: HISTFILE= bash --norc --noprofile -i";
    this.#tmux("-f", "/dev/null", "new-session", "-d", "-x", "200", "-y", "50", shell);
  }

  /** Types a line into it. */
  line(text: string): void {
    this.#tmux("send-keys", "-l", text);
    this.key("Enter");
  }

  /** Presses a key, such as "C-c". */
  key(name: string): void {
    this.#tmux("send-keys", name);
  }

  /** What is to be seen, above the screen too. */
  get text(): string {
    return this.#tmux("capture-pane", "-p", "-J", "-S", "-500");
  }

  /** Waits until something is to be seen. */
  async sees(what: RegExp): Promise<RegExpExecArray> {
    return await until(`the terminal shows ${String(what)}`, () => what.exec(this.text) ?? false);
  }

  /** Takes the terminal away, as a lost connection does. */
  hangUp(): void {
    this.#tmux("kill-server");
  }

  [Symbol.asyncDispose](): Promise<void> {
    try {
      this.hangUp();
    } catch {
      // It has been taken away before.
    }
    return Promise.resolve();
  }

  #tmux(...words: string[]): string {
    const env = { ...process.env, TMUX: "" };
    return execFileSync("tmux", ["-S", this.#socket, ...words], { encoding: "utf8", env });
  }
}
