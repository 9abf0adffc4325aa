// Ways from a wrapper to a server on which packets can be lost. As root the harness runs in a
// network namespace of its own (tools/trials.js), which goes when its last process ends: there
// the packets to and from a port are dropped by the kernel. Elsewhere a proxy passes no byte on.

import { spawnSync } from "node:child_process";
import { Proxy } from "../test/support/proxy.js";

/** Set by tools/trials.js within the namespace. */
const OWN_NETWORK = "TRIALS_OWN_NETWORK";

/** A way to one server. */
export interface Way extends AsyncDisposable {
  readonly address: string;
  /** Nothing arrives any more, in either direction, and nobody is told. */
  drop(): void;
}

export const dropsPackets = process.env[OWN_NETWORK] === "1";

/** How packets are lost here, in words. */
export const networkFault = dropsPackets
  ? "packets dropped by iptables in a network namespace"
  : "bytes held back by a proxy, since packets can be dropped only by root with iptables";

/** A way to `target` for one trial. */
export async function openWay(target: string): Promise<Way> {
  const proxy = await Proxy.open(target);
  if (!dropsPackets) {
    return {
      address: proxy.address,
      drop: () => {
        proxy.freeze();
      },
      [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
    };
  }
  const drops = new PacketDrop(proxy.address.split(":")[1] ?? "");
  return {
    address: proxy.address,
    drop: () => {
      drops.begin();
    },
    async [Symbol.asyncDispose]() {
      drops.end();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

/** Loses every packet to and from a port of loopback. */
class PacketDrop {
  readonly #port: string;
  #begun = false;

  constructor(port: string) {
    this.#port = port;
  }

  begin(): void {
    this.#begun = true;
    this.#rules("-A");
  }

  end(): void {
    if (this.#begun) this.#rules("-D");
    this.#begun = false;
  }

  #rules(what: "-A" | "-D"): void {
    for (const side of ["--dport", "--sport"]) {
      const args = ["-w", what, "INPUT", "-p", "tcp", side, this.#port, "-j", "DROP"];
      const { status, stderr } = spawnSync("iptables", args, { encoding: "utf8" });
      if (status !== 0) throw new Error(`iptables ${args.join(" ")}: ${stderr}`);
    }
  }
}
