// The image, run as a container is: nothing of this machine but its kernel.

import { readdir, readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Image, missingImage, USER } from "../support/image.js";

const absent = missingImage();
const title = `the container image${absent === undefined ? "" : ` (skipped: ${absent})`}`;

describe.skipIf(absent !== undefined)(title, () => {
  let image: Image;

  beforeAll(async () => {
    image = await Image.build();
  }, 900_000);
  afterAll(() => image[Symbol.asyncDispose]());

  it("says who runs what in it, and which version it is", async () => {
    const { version } = JSON.parse(await readFile("package.json", "utf8")) as { version: string };
    expect(image.config).toMatchObject({
      User: "65532:65532",
      Entrypoint: ["/stormlock"],
      Cmd: ["serve", "--listen", "0.0.0.0:7420", "--insecure"],
      Volumes: { "/var/lib/stormlock": {} },
      Labels: { "org.opencontainers.image.version": version },
    });
  });

  it("has the program, what it loads, and no shell", async () => {
    const files = await readdir(image.root, { recursive: true, withFileTypes: true });
    const names = files.filter((file) => file.isFile()).map(({ name }) => name);
    expect(names.filter((name) => !/\.so(\.\d+)*$/u.test(name)).toSorted()).toEqual([
      "group",
      "nsswitch.conf",
      "passwd",
      "stormlock",
    ]);
  });

  it("serves as process 1, without rights, and answers a health probe", async () => {
    await using container = await image.start();
    const probe = ["/stormlock", "health", "--server", "127.0.0.1:7420"];
    await expect
      .poll(async () => (await container.exec(...probe)).code, { timeout: 60_000, interval: 200 })
      .toBe(0);
    const status = await container.status();
    expect(status).toMatch(/^NSpid:\t\d+\t1$/mu);
    expect(status).toMatch(new RegExp(`^Uid:(\\t${String(USER)}){4}$`, "mu"));
    expect(status).toMatch(/^CapEff:\t0+$/mu);
    expect(container.stderr).toContain("/var/lib/stormlock/locks.db");
    expect((await container.exec("/stormlock", "copy", "/stormlock2")).code).toBe(64);
  });

  it("serves a lock, drains on SIGTERM, and exits with 0", async () => {
    await using container = await image.start();
    const server = ["--server", "127.0.0.1:7420"];
    await expect
      .poll(async () => (await container.exec("/stormlock", "health", ...server)).code, {
        timeout: 60_000,
        interval: 200,
      })
      .toBe(0);
    const taken = await container.exec("/stormlock", "acquire", "x", ...server);
    expect(taken.code).toBe(0);
    const held = await container.exec("/stormlock", "is-held", "x", taken.stdout.trim(), ...server);
    expect(held.code).toBe(0);
    await container.kill("SIGTERM");
    expect(await container.ended).toBe(0);
    expect(container.stderr).toContain("draining");
  });

  it("runs a command under a lock as process 1", async () => {
    await using container = await image.start(["hold", "x", "--", "/stormlock", "current", "x"]);
    expect(await container.ended, container.stderr).toBe(0);
    expect(container.stderr).toContain("init");
  });
});
