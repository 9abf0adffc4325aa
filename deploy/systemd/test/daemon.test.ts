// The daemon's unit, in a machine with a systemd of its own.

import { describe, it } from "vitest";
import { Machine, whyNoMachine } from "./machine.js";

const SERVER = "STORMLOCK_SERVER=unix:/run/stormlock/stormlock.sock";
// What systemd thinks of the least that a service may be: 9.6 is a unit that says nothing.
const MOST_EXPOSURE = 1.2;

const why = await whyNoMachine();

// Each has a machine of its own.
describe.skipIf(why !== undefined)(
  `stormlock.service${why === undefined ? "" : `: ${why}`}`,
  { concurrent: true },
  () => {
    it("and all other units are what systemd understands, without a warning", async ({
      expect,
    }) => {
      await using machine = await Machine.boot();
      await machine.install();
      const units = await machine.must("cd /usr/local/lib/systemd/system && ls stormlock*");
      expect(units.split("\n")).toEqual([
        "stormlock-hold@.service",
        "stormlock-nightly@.service",
        "stormlock-nightly@.timer",
        "stormlock.service",
      ]);
      for (const unit of units.split("\n")) {
        const path = `/usr/local/lib/systemd/system/${unit}`;
        const verified = await machine.run(`systemd-analyze verify ${path} 2>&1`);
        expect(verified, unit).toMatchObject({ code: 0, stdout: "" });
      }
      const most = String(MOST_EXPOSURE * 10);
      await machine.must(
        `systemd-analyze security --offline=yes --threshold=${most} --no-pager stormlock.service`,
      );
    });

    it("is up when the daemon answers, and stops it in order", async ({ expect }) => {
      await using machine = await Machine.boot();
      await machine.install();
      // Ordered after the daemon, and with no patience of its own.
      machine.write(
        "/etc/systemd/system/client.service",
        `[Unit]\nAfter=stormlock.service\nRequires=stormlock.service\n` +
          `[Service]\nType=oneshot\nRemainAfterExit=yes\nEnvironment=${SERVER}\n` +
          `ExecStart=stormlock health --wait 0s\nExecStart=stormlock acquire first\n`,
      );
      await machine.must("systemctl daemon-reload && systemctl start client");

      expect(await machine.must("systemctl is-active stormlock")).toBe("active");
      const [folder, socket] = (
        await machine.must("stat -c '%U %G %a' /run/stormlock /run/stormlock/stormlock.sock")
      ).split("\n");
      expect(folder).toBe("stormlock stormlock 750");
      expect(socket).toBe("stormlock stormlock 660");
      expect(
        await machine.must("stat -c '%U %a' /var/lib/stormlock /var/lib/stormlock/locks.db"),
      ).toBe("stormlock 700\nstormlock 600");

      await machine.must("systemctl stop stormlock");
      expect(await machine.property("stormlock", "Result")).toBe("success");
      expect(await machine.property("stormlock", "ExecMainStatus")).toBe("0");
      expect(await machine.journal("stormlock")).toMatch(/"msg":"draining"[^]*"msg":"stopped"/u);
      expect((await machine.run("ls /run/stormlock")).code).not.toBe(0);
    });

    it("lets the group's members in, and nobody else", async ({ expect }) => {
      await using machine = await Machine.boot();
      await machine.install();
      await machine.must("useradd --no-create-home --groups stormlock ann && useradd -M bob");
      await machine.must("systemctl start stormlock");
      const asked = (user: string): string =>
        `cd / && setpriv --reuid ${user} --regid ${user} --init-groups env HOME=/ ${SERVER} stormlock list`;
      await machine.must(asked("ann"));
      expect((await machine.run(asked("bob"))).code).toBe(69);
    });

    it("comes back when it was killed, and what was held is held", async ({ expect }) => {
      await using machine = await Machine.boot();
      await machine.install();
      await machine.must("systemctl start stormlock");
      const id = await machine.must(`${SERVER} stormlock acquire deploy/prod --ttl 1h`);
      await machine.must("systemctl kill --signal=KILL stormlock");
      await expect
        .poll(() => machine.property("stormlock", "NRestarts"), { timeout: 60_000 })
        .toBe("1");
      await expect
        .poll(() => machine.property("stormlock", "ActiveState"), { timeout: 60_000 })
        .toBe("active");
      await machine.must(`${SERVER} stormlock is-held deploy/prod ${id}`);
      await machine.must(
        `systemctl restart stormlock && ${SERVER} stormlock is-held deploy/prod ${id}`,
      );
    });

    it("fails at once and for good when its configuration is wrong", async ({ expect }) => {
      await using machine = await Machine.boot();
      await machine.install();
      machine.write("/etc/stormlock/stormlock.toml", `[daemon]\nlisen = ["unix:/run/x"]\n`);
      const started = await machine.run("systemctl start stormlock");
      expect(started.code).not.toBe(0);
      expect(await machine.property("stormlock", "ActiveState")).toBe("failed");
      expect(await machine.property("stormlock", "ExecMainStatus")).toBe("78");
      expect(await machine.property("stormlock", "NRestarts")).toBe("0");
      expect(await machine.journal("stormlock")).toMatch(/stormlock\.toml:2.*lisen/u);
    });

    it("is up without its store, and says so to whoever asks", async ({ expect }) => {
      await using machine = await Machine.boot();
      await machine.install();
      machine.write(
        "/etc/stormlock/stormlock.toml",
        `[default]\nbackend = "db"\n[backend.db]\ntype = "redis"\nurl = "redis://127.0.0.1:1"\n` +
          `[daemon]\nlisten = ["unix:/run/stormlock/stormlock.sock"]\n`,
      );
      await machine.must("systemctl start stormlock");
      expect((await machine.run(`${SERVER} stormlock health`)).code).toBe(1);
    });

    it("bears the sandbox with TLS from credentials, on TCP, and with a name to look up", async () => {
      await using machine = await Machine.boot();
      await machine.install();
      await machine.must(
        "cd /root && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 " +
          "-keyout tls.key -out tls.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>&1",
      );
      machine.write(
        "/etc/systemd/system/stormlock.service.d/tls.conf",
        "[Service]\nLoadCredential=tls.key:/root/tls.key\nLoadCredential=tls.crt:/root/tls.crt\n",
      );
      machine.write(
        "/etc/stormlock/stormlock.toml",
        `[default]\nbackend = "here"\n[backend.here]\ntype = "sqlite"\n` +
          `path = "/var/lib/stormlock/locks.db"\n[daemon]\n` +
          `listen = ["localhost:7420", "unix:/run/stormlock/stormlock.sock"]\n` +
          `cert = "\${CREDENTIALS_DIRECTORY}/tls.crt"\nkey = "\${CREDENTIALS_DIRECTORY}/tls.key"\n`,
      );
      await machine.must("systemctl daemon-reload && systemctl start stormlock");
      await machine.must("stormlock health --server localhost:7420 --ca /root/tls.crt");
    });
  },
);
