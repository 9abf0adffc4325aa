// The table of all commands. Those that ask lie with it in one file of the bundle, where to load
// each by itself would cost one more; the larger ones are loaded when they are run.

import { acquire as runAcquire } from "./acquire.js";
import type { Command, Option } from "./command.js";
import { current as runCurrent } from "./current.js";
import { isHeld as runIsHeld } from "./is-held.js";
import { LEASE_FORMATS } from "./lease-format.js";
import { list as runList } from "./list.js";
import { release as runRelease } from "./release.js";
import { renew as runRenew } from "./renew.js";

/** Options that every command has. */
export const GLOBAL_OPTIONS: readonly Option[] = [
  { name: "config", short: "c", value: "FILE", describe: "read this configuration file" },
  { name: "json", describe: "print the result, and errors, as JSON" },
  { name: "quiet", short: "q", describe: "print no notes, and no words with exit codes 1 to 3" },
  { name: "help", short: "h", describe: "show this help" },
  { name: "version", describe: "show the version" },
];

// What every command has that asks somebody.
const ASKING: readonly Option[] = [
  {
    name: "server",
    value: "ADDR[,ADDR...]",
    isRepeatable: true,
    describe: "ask these daemons, the first that answers",
  },
  { name: "tls", describe: "speak TLS, without --ca to daemons whose authority Node knows" },
  { name: "ca", value: "FILE", describe: "whose certificates daemons must show (PEM)" },
  { name: "cert", value: "FILE", describe: "certificate to show to daemons (PEM)" },
  { name: "key", value: "FILE", describe: "private key of that certificate (PEM)" },
  { name: "principal", value: "NAME", describe: "who holds or asks; user@host by default" },
];

const RESOURCE = { name: "RESOURCE", describe: "what is locked, e.g. deploy/prod" };
const LEASE_ID = { name: "LEASE_ID", describe: "the id that acquire printed" };
const TTL: Option = {
  name: "ttl",
  short: "t",
  value: "DURATION",
  describe: "how long the lease lives unless renewed, e.g. 90s or 1h30m",
};

const acquire: Command = {
  name: "acquire",
  summary: "Take a lock, and print the id of the lease.",
  positionals: [RESOURCE],
  options: [
    TTL,
    {
      name: "wait",
      short: "w",
      value: "DURATION",
      describe: "stand in the queue for so long at the most; without it, do not wait",
    },
    { name: "reason", value: "TEXT", describe: "why, for those who find it held" },
    {
      name: "label",
      value: "KEY=VALUE",
      isRepeatable: true,
      describe: "anything else worth showing with the lease",
    },
    ...ASKING,
  ],
  examples: [
    { line: "id=$(stormlock acquire deploy/prod --ttl 30m)", tells: "take it for half an hour" },
    {
      line: 'stormlock acquire deploy/prod --wait 5m --reason "release 4.2"',
      tells: "wait for it, and say why",
    },
  ],
  notes:
    "Exit codes: 0 taken · 2 somebody else holds it, or the wait ran out · 69 no definite answer, " +
    "and nothing was kept.",
  load: () => runAcquire,
};

const release: Command = {
  name: "release",
  summary: "Give a lock back. Harmless when the lease has ended already.",
  positionals: [RESOURCE, LEASE_ID],
  options: ASKING,
  examples: [
    { line: 'stormlock release deploy/prod "$id"', tells: "give it back" },
    {
      line: 'stormlock release deploy/prod "$id" --json',
      tells: "and see whether it was held until now",
    },
  ],
  notes: "Exit codes: 0 this lease does not hold the lock any more · 69 no definite answer.",
  load: () => runRelease,
};

const renew: Command = {
  name: "renew",
  summary: "Make a lease live for a whole ttl again, from now.",
  positionals: [RESOURCE, LEASE_ID],
  options: [
    { ...TTL, describe: "another ttl from now on; the lease's own when left out" },
    ...ASKING,
  ],
  examples: [
    { line: 'stormlock renew deploy/prod "$id"', tells: "keep it for its ttl again" },
    { line: 'stormlock renew deploy/prod "$id" --ttl 2h', tells: "keep it for two hours" },
  ],
  notes:
    "A renewal never moves the end of a lease to an earlier time.\n" +
    "Exit codes: 0 renewed · 3 the lease is lost · 69 no definite answer.",
  load: () => runRenew,
};

const current: Command = {
  name: "current",
  summary: "Show who holds a lock.",
  positionals: [RESOURCE],
  options: [
    { name: "id-only", describe: "the same as --format id" },
    {
      name: "format",
      short: "f",
      value: "FORMAT",
      choices: LEASE_FORMATS,
      describe: "how to print the lease; rows by default",
    },
    ...ASKING,
  ],
  examples: [
    { line: "stormlock current deploy/prod", tells: "who, since when, until when, and why" },
    {
      line: "stormlock current deploy/prod --format oneline",
      tells: "principal, time and id with tabs between them",
    },
  ],
  notes: "Exit codes: 0 somebody holds it · 1 nobody does · 69 no definite answer.",
  load: () => runCurrent,
};

const isHeld: Command = {
  name: "is-held",
  summary: "Tell by the exit code whether this very lease holds the lock.",
  positionals: [RESOURCE, LEASE_ID],
  options: ASKING,
  examples: [
    { line: 'stormlock is-held deploy/prod "$id"', tells: "exit code 0 or 1" },
    {
      line: 'if stormlock is-held deploy/prod "$id"; then echo mine; fi',
      tells: "in a script",
    },
  ],
  notes: "Exit codes: 0 it does · 1 it does not · 69 it could not be asked.",
  load: () => runIsHeld,
};

const list: Command = {
  name: "list",
  summary: "List what is held now.",
  positionals: [
    { name: "PREFIX", describe: "only resources whose names begin so", isOptional: true },
  ],
  options: ASKING,
  examples: [
    { line: "stormlock list", tells: "everything" },
    { line: "stormlock list deploy/ | cut -f 1,2", tells: "what is held there, and by whom" },
  ],
  notes:
    "Into a pipe: RESOURCE, PRINCIPAL, CREATED, EXPIRES, TOKEN and REASON, with tabs between them. What another program has put in a store where a lease should be is told on stderr.",
  load: () => runList,
};

const hold: Command = {
  name: "hold",
  summary: "Run a command while a lock is held, and end it before anybody else can hold it.",
  positionals: [{ ...RESOURCE, isRepeatable: true }],
  runsCommand: true,
  options: [
    { ...TTL, describe: "how long the lock survives this host, e.g. 30s" },
    {
      name: "wait",
      short: "w",
      value: "DURATION",
      describe: "wait for the lock so long at the most; without limit when left out",
    },
    { name: "no-wait", short: "n", describe: "do not wait for it" },
    {
      name: "conflict-exit-code",
      short: "E",
      value: "CODE",
      describe: "exit with this when somebody else holds the lock; 75 by default",
    },
    {
      name: "grace",
      value: "DURATION",
      describe:
        "how long before the lock's end the command is asked to end (SIGTERM) rather than killed; " +
        "a quarter of the ttl, at most 10s, by default",
    },
    {
      name: "on-lost",
      value: "WHAT",
      choices: ["kill", "warn"],
      describe: "end the command when the lock is lost, as by default, or say so and let it run",
    },
    { name: "reason", value: "TEXT", describe: "why, for those who find it held" },
    {
      name: "sidecar",
      isInsteadOfCommand: true,
      describe: "run no command: hold until SIGTERM, for others to work under the lock",
    },
    {
      name: "token-file",
      value: "FILE",
      describe: "with --sidecar: has the token while the lock is held, and only then",
    },
    {
      name: "ready-file",
      value: "FILE",
      describe: "with --sidecar: is there while the lock is held, and only then",
    },
    {
      name: "http",
      value: "ADDR",
      describe: "with --sidecar: answer there whether it is held (/held), and /healthz",
    },
    {
      name: "insecure",
      describe: "with --http: an address that other machines reach, where anybody may ask",
    },
    {
      name: "again",
      describe:
        "with --sidecar: contend again when the lock is lost or nobody answers; exit 76 or 69 without it",
    },
    ...ASKING,
  ],
  examples: [
    { line: "stormlock hold deploy/prod -- echo mine", tells: "wait for the lock, then run it" },
    {
      line: "stormlock hold db/a db/b --wait 5m --ttl 30s -- echo both",
      tells: "with several locks, all or none",
    },
  ],
  notes:
    "The command gets STORMLOCK_RESOURCE, STORMLOCK_FENCING_TOKEN, STORMLOCK_PRINCIPAL and " +
    "STORMLOCK_LEASE_ID. Several resources, or a command with a `--` or a `--sidecar` of its own, " +
    "need `--` before the command. With --sidecar there is none: stormlock hold RESOURCE... " +
    "--sidecar. With --json the last line on stderr tells how it went.\n" +
    "Exit codes: the command's own · 128+n when signal n ended it, or the wait · 64 usage · " +
    "69 no daemon or store answers · 70 there is no guardian, or a mistake in stormlock · " +
    "75 somebody else holds the lock · 76 it was lost · 77 not allowed · 78 the configuration is " +
    "wrong · 126 the command cannot be run · 127 it was not found · 0 a sidecar got SIGTERM.",
  load: async () => (await import("./hold.js")).hold,
};

const serve: Command = {
  name: "serve",
  summary: "Run the daemon.",
  positionals: [],
  options: [
    {
      name: "listen",
      value: "ADDR",
      isRepeatable: true,
      describe: "address for gRPC, and for HTTP where it has no TLS; 127.0.0.1:7420 by default",
    },
    {
      name: "http",
      value: "ADDR",
      isRepeatable: true,
      describe: "an address for HTTP alone: JSON, gRPC-Web, health, metrics",
    },
    { name: "cert", value: "FILE", describe: "certificate of this daemon (PEM)" },
    { name: "key", value: "FILE", describe: "private key of that certificate (PEM)" },
    {
      name: "ca",
      value: "FILE",
      describe: "whose certificates clients must show (PEM); their names become the principals",
    },
    {
      name: "insecure",
      describe: "listen beyond this machine without TLS and client certificates",
    },
    {
      name: "log-level",
      value: "LEVEL",
      choices: ["error", "warn", "info", "debug"],
      describe: "what is logged to stderr; info by default",
    },
  ],
  examples: [
    { line: "stormlock serve", tells: "on 127.0.0.1:7420, with the embedded store" },
    {
      line: "stormlock serve --listen 127.0.0.1:7421 --http 127.0.0.1:7422",
      tells: "on other ports, HTTP on its own",
    },
  ],
  notes: "SIGTERM: finish what runs, and exit 0 within 10 s. Nothing is released by that.",
  load: async () => (await import("./serve.js")).serve,
};

const health: Command = {
  name: "health",
  summary: "Ask daemons whether they can do their work, as a probe does.",
  positionals: [],
  options: [
    {
      name: "wait",
      short: "w",
      value: "DURATION",
      describe: "go on asking until they all can, so long at the most",
    },
    ...ASKING.filter(({ name }) => name !== "principal"),
  ],
  examples: [
    { line: "stormlock health", tells: "the configured daemons, or the one on this host" },
    {
      line: "stormlock health --server 127.0.0.1:7420 --wait 30s",
      tells: "wait until it has started",
    },
  ],
  notes:
    "Asks grpc.health.v1. Without a server, the addresses at which `serve` would listen.\n" +
    "Exit codes: 0 all of them serve · 1 one is about to stop, or its store cannot be used · " +
    "69 one does not answer.",
  load: async () => (await import("./health.js")).health,
};

const config: Command = {
  name: "config",
  summary: "Check or show the configuration, or tell which file it comes from.",
  positionals: [
    {
      name: "ACTION",
      describe: "check: is it right? show: what applies? path: where is it?",
      choices: ["check", "show", "path"],
    },
  ],
  options: ASKING,
  examples: [
    { line: "stormlock config check", tells: "name every mistake with its line" },
    { line: "stormlock config show", tells: "what applies, secrets left out" },
  ],
  notes: "Exit codes: 0 it can be used · 78 it cannot.",
  load: async () => (await import("./config.js")).config,
};

const backend: Command = {
  name: "backend",
  summary: "Check the stores of the configuration, or make what they need.",
  positionals: [
    {
      name: "ACTION",
      describe: "check: can locks be kept there? setup: make tables where a store needs any",
      choices: ["check", "setup"],
    },
    {
      name: "NAME",
      describe: "only this backend of the configuration; all when left out",
      isOptional: true,
    },
  ],
  options: [
    {
      name: "print",
      describe: "setup: print what has to be made (SQL, JSON), and ask no store",
    },
  ],
  examples: [
    {
      line: "stormlock backend check",
      tells: "reach each store, and take, renew and release a lock of its own there",
    },
    { line: "stormlock backend setup --print", tells: "show what would have to be made" },
  ],
  notes:
    "check prints a line for each finding, and the time it took.\n" +
    "Exit codes: 0 all is right · 69 a store cannot be used · 78 the configuration is wrong.",
  load: async () => (await import("./backend.js")).backend,
};

const copy: Command = {
  name: "copy",
  summary: "Put this program into a file, for another container or user to run.",
  positionals: [{ name: "FILE", describe: "where; what is there is replaced" }],
  options: [],
  examples: [
    { line: 'stormlock copy "${TMPDIR:-/tmp}/stormlock"', tells: "in a directory that is shared" },
    {
      line: 'stormlock copy "$HOME/stormlock" && "$HOME/stormlock" --version',
      tells: "and run it from there",
    },
  ],
  notes:
    "The single file copies itself. Where Node runs the program from several files, a script is " +
    "made that runs it from there.\n" +
    "Exit codes: 0 done · 64 it cannot be written there.",
  load: async () => (await import("./copy.js")).copy,
};

const completion: Command = {
  name: "completion",
  summary: "Print a script that completes commands and options.",
  positionals: [{ name: "SHELL", describe: "which one", choices: ["bash", "zsh"] }],
  options: [],
  examples: [
    { line: "source <(stormlock completion bash)", tells: "in this bash" },
    {
      line: 'stormlock completion zsh > "${TMPDIR:-/tmp}/_stormlock"',
      tells: "into a file, for a directory of zsh's fpath",
    },
  ],
  notes: "",
  load: async () => (await import("./completion.js")).completionOf(COMMANDS, GLOBAL_OPTIONS),
};

export const COMMANDS: readonly Command[] = [
  acquire,
  release,
  renew,
  current,
  isHeld,
  list,
  hold,
  serve,
  health,
  config,
  backend,
  copy,
  completion,
];
