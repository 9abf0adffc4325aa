import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LineSink } from "../../src/rpc/line-sink.js";
import { FakeClock } from "../support/fake-clock.js";
import { systemClock } from "../../src/system-clock.js";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "stormlock-sink-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** A pipe that does not block, with both its ends in one. */
class Pipe implements Disposable {
  readonly fd: number;

  constructor() {
    const path = join(directory, "pipe");
    execFileSync("mkfifo", [path]);
    this.fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  }

  /** All that is in it now. */
  read(): string {
    const pieces: Buffer[] = [];
    const piece = Buffer.alloc(64 * 1024);
    try {
      for (;;) pieces.push(Buffer.from(piece.subarray(0, readSync(this.fd, piece))));
    } catch {
      return Buffer.concat(pieces).toString();
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

const line = (at: number): string => `${String(at).padStart(6, "0")} ${"x".repeat(200)}\n`;

describe("a log whose reader does not read", () => {
  it("keeps nobody waiting, loses no line up to a bound, and goes on when it is read", async () => {
    using pipe = new Pipe();
    const clock = new FakeClock();
    const sink = new LineSink(pipe.fd, clock);
    const all = Array.from({ length: 5000 }, (_, at) => line(at));
    for (const each of all) sink.write(each);
    let heard = pipe.read();
    expect(heard.length).toBeLessThan(all.join("").length);
    for (let round = 0; round < 50; round++) {
      await clock.advance(50);
      heard += pipe.read();
    }
    expect(heard).toBe(all.join(""));
    expect(clock.pending).toBe(0);
    sink.write("at once\n");
    expect(pipe.read()).toBe("at once\n");
  });

  it("loses lines beyond the bound, and says how many when there is room again", async () => {
    using pipe = new Pipe();
    const clock = new FakeClock();
    const sink = new LineSink(pipe.fd, clock);
    for (let at = 0; at < 20_000; at++) sink.write(line(at));
    let heard = pipe.read();
    for (let round = 0; round < 100; round++) {
      await clock.advance(50);
      heard += pipe.read();
    }
    sink.write("after\n");
    heard += pipe.read();
    const lines = heard.trimEnd().split("\n");
    const kept = lines.length - 2;
    expect(lines.slice(0, kept).join("\n")).toBe(
      Array.from({ length: kept }, (_, at) => line(at).trimEnd()).join("\n"),
    );
    expect(kept).toBeGreaterThan(9000);
    const msg = `${String(20_000 - kept)} lines of this log could not be written`;
    expect(JSON.parse(lines.at(-2) ?? "")).toMatchObject({ level: "warn", msg });
    expect(lines.at(-1)).toBe("after");
  });

  it("holds up the end of the process for half a second at the most", () => {
    using pipe = new Pipe();
    const sink = new LineSink(pipe.fd, systemClock);
    for (let at = 0; at < 1000; at++) sink.write(line(at));
    const startedMs = performance.now();
    sink.flush();
    expect(performance.now() - startedMs).toBeLessThan(2000);
  });
});

describe("a log on a disk that is full", () => {
  it("loses its lines, and throws nothing", () => {
    const fd = openSync("/dev/full", "w");
    const sink = new LineSink(fd, new FakeClock());
    for (let at = 0; at < 100; at++) sink.write(line(at));
    sink.flush();
    closeSync(fd);
  });

  it("says how many were lost once there is room", () => {
    const path = join(directory, "log");
    const fd = openSync(path, "a");
    const full = openSync("/dev/full", "w");
    // What is written to is looked up for every line: so a disk may be full, and then have room.
    const sink = new LineSink(full, new FakeClock());
    sink.write("lost\n");
    sink.write("lost, too\n");
    closeSync(full);
    const same = openSync(path, "a");
    expect(same).toBe(full);
    sink.write("written\n");
    closeSync(same);
    closeSync(fd);
    const [notice = "", ...rest] = readFileSync(path, "utf8").split("\n");
    expect(JSON.parse(notice)).toMatchObject({ msg: "2 lines of this log could not be written" });
    expect(rest).toEqual(["written", ""]);
  });
});
