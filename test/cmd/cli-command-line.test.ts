import { describe, expect, it } from "vitest";
import { readCommandLine, type CommandLine } from "../../cmd/stormlock/command-line.js";
import { COMMANDS, GLOBAL_OPTIONS } from "../../cmd/stormlock/commands.js";
import { UsageError } from "../../cmd/stormlock/usage-error.js";

function read(...argv: string[]): CommandLine {
  return readCommandLine(argv, COMMANDS, GLOBAL_OPTIONS);
}

function words(...argv: string[]): Extract<CommandLine, { kind: "run" }> {
  const line = read(...argv);
  if (line.kind !== "run") throw new Error(`a command was expected, not ${line.kind}`);
  return line;
}

describe("a command line", () => {
  it("is a command with its words and options, wherever they stand", () => {
    for (const argv of [
      ["acquire", "deploy/prod", "--ttl", "30s", "--wait=5m"],
      ["acquire", "--ttl=30s", "deploy/prod", "-w", "5m"],
      ["acquire", "-t30s", "-w=5m", "deploy/prod"],
      ["acquire", "-t", "30s", "-w", "5m", "--", "deploy/prod"],
    ]) {
      const line = words(...argv);
      expect(line.command.name).toBe("acquire");
      expect(line.words.positional("RESOURCE")).toBe("deploy/prod");
      expect(line.words.durationMs("ttl")).toBe(30_000);
      expect(line.words.durationMs("wait")).toBe(300_000);
    }
  });

  it("may have options before the command, with values that look like commands", () => {
    const line = words("-c", "release", "--server", "list", "acquire", "x");
    expect(line.command.name).toBe("acquire");
    expect(line.words.value("config")).toBe("release");
    expect(line.words.values("server")).toEqual(["list"]);
  });

  it("leaves words as they were typed, digits too", () => {
    const { words: typed } = words("release", "007", "1e3");
    expect(typed.positional("RESOURCE")).toBe("007");
    expect(typed.positional("LEASE_ID")).toBe("1e3");
  });

  it("takes a word that begins with a dash after --, and as --option=value", () => {
    expect(words("current", "--", "-x").words.positional("RESOURCE")).toBe("-x");
    expect(words("acquire", "x", "--reason=--force").words.value("reason")).toBe("--force");
  });

  it("keeps all values of an option that may be repeated", () => {
    const { words: typed } = words("acquire", "x", "--label", "a=1", "--label", "b=2");
    expect(typed.values("label")).toEqual(["a=1", "b=2"]);
  });

  it("asks for help and the version whatever else is in it", () => {
    expect(read("--help")).toEqual({ kind: "help", command: undefined });
    expect(read("acquire", "--nonsense", "-h")).toMatchObject({
      kind: "help",
      command: { name: "acquire" },
    });
    expect(read("--version")).toEqual({ kind: "version" });
    expect(read("acquire", "--version")).toEqual({ kind: "version" });
  });

  it.each<[string[], string]>([
    [[], "no command is given"],
    [["--json"], "no command is given"],
    [["aquire", "x"], "did you mean acquire?"],
    [["is-hold", "x", "y"], "did you mean is-held?"],
    [["acquire"], "acquire needs RESOURCE"],
    [["release", "x"], "release needs LEASE_ID"],
    [["acquire", "x", "y"], 'acquire takes no "y"'],
    [["acquire", "x", "--tll", "5m"], "there is no option --tll; did you mean --ttl?"],
    [["acquire", "x", "--tll"], "did you mean --ttl?"],
    [["acquire", "x", "--log-levl", "info"], "there is no option --log-levl"],
    [["serve", "--log-levl", "info"], "did you mean --log-level?"],
    [["acquire", "x", "-z"], "there is no option -z"],
    [["acquire", "x", "--no-json"], "there is no option --no-json"],
    [["acquire", "x", "--ttl.x", "1s"], "there is no option --ttl.x"],
    [["acquire", "x", "--__proto__", "1s"], "there is no option --__proto__"],
    [["acquire", "x", "--ttl"], "--ttl needs a value: --ttl DURATION"],
    [["acquire", "x", "--ttl", "--json"], "--ttl needs a value"],
    [["acquire", "x", "--ttl="], "--ttl is empty"],
    [["acquire", "x", "-t", "1s", "--ttl", "2s"], "--ttl is given 2 times"],
    [["acquire", "x", "--json=false"], "--json takes no value"],
    [["current", "x", "-f", "row"], '--format "row" is none of'],
    [["current", "x", "-f", "row"], "did you mean rows?"],
    [["config"], "config needs ACTION: check, show, path"],
    [["config", "chek"], "did you mean check?"],
    [["serve", "--server", "a:1"], "there is no option --server"],
  ])("%j is refused with what would be right: %s", (argv, complaint) => {
    expect(() => read(...argv)).toThrow(UsageError);
    expect(() => read(...argv)).toThrow(complaint);
  });

  it.each(["10", "10 parsecs", "1s1h", "-5s", "", "5m "])("%j is no duration", (text) => {
    expect(() => words("acquire", "x", `--ttl=${text}`).words.durationMs("ttl")).toThrow(
      UsageError,
    );
  });

  it("a bare number is refused with a guess at its unit", () => {
    expect(() => words("acquire", "x", "-t", "10").words.durationMs("ttl")).toThrow(
      "did you mean 10s?",
    );
  });
});

describe("a command line that runs no command", () => {
  it.each([
    [["hold", "a", "b", "--sidecar", "--token-file", "f"]],
    [["hold", "--sidecar", "a", "--token-file", "f", "b"]],
    [["--json", "hold", "a", "--token-file=f", "b", "--sidecar"]],
  ])("%j has resources alone", (argv) => {
    const { words: typed } = words(...argv);
    expect(typed.all("RESOURCE")).toEqual(["a", "b"]);
    expect(typed.has("sidecar")).toBe(true);
    expect(typed.value("token-file")).toBe("f");
    expect(typed.rest).toBeUndefined();
  });

  it("has what comes after -- for whoever refuses it", () => {
    expect(words("hold", "a", "--sidecar", "--", "b", "--x").words.rest).toEqual(["b", "--x"]);
  });

  it("is not one whose command has the option behind one that is none of ours", () => {
    const { words: typed } = words("hold", "a", "b", "--own", "--sidecar");
    expect(typed.has("sidecar")).toBe(false);
    expect(typed.rest).toEqual(["b", "--own", "--sidecar"]);
    expect(words("hold", "a", "--", "b", "--sidecar").words.has("sidecar")).toBe(false);
  });
});
