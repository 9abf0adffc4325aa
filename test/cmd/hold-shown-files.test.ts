import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { removeOwnFiles } from "../../cmd/stormlock/hold/own-files.js";
import { ShownFiles } from "../../cmd/stormlock/hold/shown-files.js";
import type { Hold } from "../../cmd/stormlock/hold/taken-locks.js";

let folder: string;
let token: string;
let ready: string;
let files: ShownFiles;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stormlock-files-"));
  [token, ready] = [join(folder, "token"), join(folder, "ready")];
  files = new ShownFiles({
    ...{ kind: "sidecar", tokenFile: token, readyFile: ready },
    ...{ http: undefined, isPublic: false, isAgain: false },
  });
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const holds = [{ resource: "a", token: 12n }] as unknown as readonly Hold[];

describe("the files of a sidecar", () => {
  test("have no name before they are shown, and none after", () => {
    files.write(holds);
    expect([existsSync(token), existsSync(ready)]).toEqual([false, false]);
    expect(files.show()).toBe(true);
    expect(readFileSync(token, "utf8")).toBe("12\n");
    expect(readdirSync(folder).sort()).toEqual(["ready", "token"]);
    files.remove();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("cannot be shown by somebody who was stopped meanwhile: the guardian was there", () => {
    const own = files.write(holds);
    removeOwnFiles(own);
    expect(files.show()).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("are not those that somebody else has written since", () => {
    const own = files.write(holds);
    expect(files.show()).toBe(true);
    rmSync(token);
    writeFileSync(token, "13\n");
    removeOwnFiles(own);
    expect(readdirSync(folder)).toEqual(["token"]);
    expect(readFileSync(token, "utf8")).toBe("13\n");
  });

  test("are removed even if somebody has touched, or written to, what they are", () => {
    const own = files.write(holds);
    expect(files.show()).toBe(true);
    utimesSync(ready, 1, 1);
    writeFileSync(token, "13\n", { flag: "a" });
    removeOwnFiles(own);
    expect(readdirSync(folder)).toEqual([]);
  });
});
