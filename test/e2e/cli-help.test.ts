import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { COMMANDS } from "../../cmd/stormlock/commands.js";
import { freePort } from "../support/free-port.js";
import { CliHome, PROGRAM } from "../support/cli.js";

let home: CliHome;

beforeAll(async () => {
  home = await CliHome.make();
  await mkdir(join(home.path, "bin"));
  await symlink(PROGRAM, join(home.path, "bin/stormlock"));
});
afterAll(() => home[Symbol.asyncDispose]());

/** The lines that help begins with: what each does, and the line itself. */
function examplesIn(help: string): string[] {
  const [first = ""] = help.split("\n\n");
  return first.split("\n").filter((line) => !line.startsWith("#"));
}

describe.each(COMMANDS.map((command) => [command.name, command] as const))(
  "help for %s",
  (name, command) => {
    it("begins with two examples that run as they stand", async () => {
      const { code, stdout } = await home.bash(`stormlock ${name} --help`);
      expect(code).toBe(0);
      const examples = examplesIn(stdout);
      expect(examples).toHaveLength(2);
      for (const example of examples) {
        const ended = await run(name, example);
        expect({ example, ...ended }).toMatchObject({ example, code: 0 });
      }
    });

    it("tells every word, option and exit code, and nothing on stderr", async () => {
      const { stdout, stderr } = await home.bash(`stormlock ${name} -h`);
      expect(stderr).toBe("");
      for (const positional of command.positionals) expect(stdout).toContain(positional.name);
      for (const option of command.options) expect(stdout).toContain(`--${option.name}`);
      for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    });
  },
);

async function run(name: string, example: string): Promise<{ readonly code: number }> {
  if (name === "serve") return await runDaemon(example);
  if (name === "health") return await askDaemon(example);
  return await home.bash(prepared(name, example));
}

// With a daemon on a port that is free here.
async function askDaemon(example: string): Promise<{ readonly code: number }> {
  const { running, address } = await home.daemon();
  const line = example.replace("127.0.0.1:7420", address);
  const ended = await home.bash(line, { env: { STORMLOCK_SERVER: address } });
  running.kill("SIGTERM");
  await running.ended;
  return ended;
}

// Examples show one command of a story: here is what comes before it.
function prepared(name: string, example: string): string {
  const free = `old=$(stormlock current deploy/prod --id-only -q) && stormlock release deploy/prod "$old"`;
  const takesIt = name === "acquire" || name === "hold";
  const take = takesIt ? "true" : "id=$(stormlock acquire deploy/prod)";
  return `${free}; ${take} && ${example}`;
}

// On ports that are free here: the rest of the line stands.
async function runDaemon(example: string): Promise<{ readonly code: number }> {
  const listen = example.includes("--listen") ? "" : " --listen 127.0.0.1:7420";
  let line = example + listen;
  for (const address of line.match(/127\.0\.0\.1:[0-9]+/gu) ?? []) {
    line = line.replace(address, `127.0.0.1:${String(await freePort())}`);
  }
  const running = home.start(["-c", `exec ${line}`], { program: ["bash"] });
  await running.stderrMatches(/listening on/u);
  running.kill("SIGTERM");
  return await running.ended;
}

describe("help for all", () => {
  it("begins with two examples and names every command", async () => {
    const { stdout, code } = await home.bash("stormlock --help");
    expect(code).toBe(0);
    expect(examplesIn(stdout)).toHaveLength(2);
    for (const { name } of COMMANDS) expect(stdout).toContain(`stormlock ${name}`);
  });
});

describe("completion in bash", () => {
  // What a terminal would be offered for a line with the cursor at its end.
  async function offered(...line: string[]): Promise<string[]> {
    const words = line.map((word) => `'${word}'`).join(" ");
    const { stdout, stderr, code } = await home.bash(
      `source <(stormlock completion bash)
       COMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
       _stormlock; printf '%s\\n' "\${COMPREPLY[@]}"; complete -p stormlock`,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("complete -F _stormlock stormlock");
    return stdout.split("\n").filter((word) => word !== "" && !word.startsWith("complete "));
  }

  it("is a script that bash can read", async () => {
    const { stdout } = await home.bash("stormlock completion bash");
    expect(await home.bash("bash -n", { input: stdout })).toMatchObject({ code: 0, stderr: "" });
  });

  it("offers commands, options, files and choices where they belong", async () => {
    expect(await offered("stormlock", "")).toEqual(
      expect.arrayContaining(COMMANDS.map(({ name }) => name)),
    );
    expect(await offered("stormlock", "re")).toEqual(["release", "renew"]);
    expect(await offered("stormlock", "acquire", "x", "--wa")).toEqual(["--wait"]);
    expect(await offered("stormlock", "-c", "release", "acquire", "--rea")).toEqual(["--reason"]);
    expect(await offered("stormlock", "current", "x", "--format", "o")).toEqual(["oneline"]);
    expect(await offered("stormlock", "config", "")).toEqual(
      expect.arrayContaining(["check", "show", "path"]),
    );
    await home.file("some-config.toml", "");
    expect(await offered("stormlock", "--config", "some-c")).toEqual(["some-config.toml"]);
    // Nothing can be said of a duration.
    expect(await offered("stormlock", "acquire", "--ttl", "")).toEqual([]);
    expect(await offered("stormlock", "release", "--tt")).toEqual([]);
    expect(await offered("stormlock", "--server", "a:1", "ren")).toEqual(["renew"]);
    expect(await offered("stormlock", "hold", "x", "--", "some-c")).toEqual(["some-config.toml"]);
  });
});

describe("completion in zsh", () => {
  it("is a script with every command and option in it", async () => {
    const { stdout } = await home.bash("stormlock completion zsh");
    expect(stdout).toMatch(/^#compdef stormlock\n/u);
    for (const { name, options } of COMMANDS) {
      expect(stdout).toContain(`'${name}:`);
      for (const option of options) expect(stdout).toContain(`--${option.name}`);
    }
    const hasZsh = (await home.bash("command -v zsh")).code === 0;
    if (hasZsh) expect((await home.bash("zsh -n /dev/stdin", { input: stdout })).code).toBe(0);
  });
});
