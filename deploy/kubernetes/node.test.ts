// What the plays rely on of the node that they run on.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { isCi } from "../../test/support/ci.js";
import { missingNamespaces, PlayNode, type PodSandbox } from "./play/namespaces.js";

const missing = await missingNamespaces();
const needs = missing === undefined ? "" : ` (needs: ${missing})`;
const PODS = 4;

it.skipIf(missing !== undefined && !isCi)(
  `a node is reached at the same hardware address, whichever pods come and go${needs}`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "stormlock-node-"));
    try {
      await using node = await PlayNode.make(folder);
      const address = async (): Promise<string> => {
        const shown = await node.run("ip", "-oneline", "link", "show", "bridge0");
        return /link\/ether (\S+)/u.exec(shown)?.[1] ?? shown;
      };
      const before = await address();
      const pods: PodSandbox[] = [];
      for (let made = 0; made < PODS; made++) {
        pods.push(await node.sandbox(false));
        expect(await address()).toBe(before);
      }
      for (const pod of pods) {
        await pod[Symbol.asyncDispose]();
        expect(await address()).toBe(before);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);
