import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Authority } from "../../rpc/support/certificates.js";
import { isWithoutRedis, RedisServer } from "../../support/servers/redis.js";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary.js";
import { LEAST_USER, leastRights, open, take } from "./stage.js";

describe.skipIf(isWithoutRedis)("redis over TLS", () => {
  let authority: Authority;
  let stranger: Authority;
  let directory: TemporaryDirectory;
  let pair: { cert: string; key: string };
  let config: string[];

  const file = (name: string, pem: string | Buffer): string => {
    const path = join(directory.path, name);
    writeFileSync(path, pem);
    return path;
  };

  beforeAll(async () => {
    authority = new Authority();
    stranger = new Authority();
    directory = await temporaryDirectory();
    const server = authority.issue("/CN=redis", "DNS:localhost,IP:127.0.0.1");
    const ann = authority.issue("/CN=ann");
    pair = { cert: file("ann.pem", ann.cert), key: file("ann.key", ann.key) };
    config = [
      leastRights("stormlock"),
      "port 0",
      "tls-port %PORT%",
      `tls-cert-file ${file("server.pem", server.cert)}`,
      `tls-key-file ${file("server.key", server.key)}`,
      `tls-ca-cert-file ${file("ca.pem", authority.cert)}`,
    ];
    file("stranger.pem", stranger.cert);
  });

  afterAll(async () => {
    authority[Symbol.dispose]();
    stranger[Symbol.dispose]();
    await directory[Symbol.asyncDispose]();
  });

  const start = (): Promise<RedisServer> => RedisServer.start({ config });
  const named = (name: string): string => join(directory.path, name);

  it("is used with a ca and a certificate of one's own", async () => {
    await using server = await start();
    const settings = { url: `rediss://${server.address}`, ...LEAST_USER, ca: named("ca.pem") };
    await using backend = await open({ ...settings, ...pair });
    await take(backend, "x");
    let hints = 0;
    const stop = backend.watch?.(() => hints++);
    await expect.poll(() => hints).toBe(1);
    stop?.();
  });

  it("is refused, in words that help, when certificates do not fit", async () => {
    await using server = await start();
    const url = `rediss://${server.address}`;
    await expect(open({ url, ...pair })).rejects.toThrow(
      /^the certificate of redis 127\.0\.0\.1:[0-9]+ is not trusted \(.*\): name the one that signed it in ca/u,
    );
    await expect(open({ url, ca: named("stranger.pem"), ...pair })).rejects.toThrow(
      /is not trusted/u,
    );
    await expect(open({ url, ca: named("ca.pem") })).rejects.toThrow(
      /do not agree on TLS .* give cert and key where it asks for them|was lost/u,
    );
    await expect(open({ url, ca: named("none.pem"), ...pair })).rejects.toThrow(
      /^ca .*none\.pem cannot be read \(ENOENT\): correct its path or its rights$/u,
    );
  });

  it("is not taken for a plain one, nor a plain one for it", async () => {
    await using server = await start();
    await expect(open({ url: server.url, timeout: "1s" })).rejects.toMatchObject({
      kind: "unavailable",
    });
    await using plain = await RedisServer.start();
    await expect(open({ url: `rediss://${plain.address}`, timeout: "1s" })).rejects.toThrow(
      /do not agree on TLS|has not answered|was lost/u,
    );
  });
});
