import { DeleteItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { describe, it } from "vitest";
import { conformance } from "../../../src/conformance.js";
import { bare, client, withDynamodb } from "./stage.js";

await withDynamodb("dynamodb", (stage) => {
  conformance({
    runner: { describe, it },
    operations: ["watch"],
    // The local server is slow: a batch of 1000 takes it seconds when the machine is busy.
    open: () => client({ ...stage.settings, timeout: "30s" }),
    spoil: async (resource) => {
      const [table, TableName] = [bare(stage.settings), "stormlock_leases"];
      const Key = { resource: { S: resource } };
      const Item = { ...Key, lock: { S: "of another program" } };
      await table.send(new PutItemCommand({ TableName, Item }));
      return async () => {
        await table.send(new DeleteItemCommand({ TableName, Key }));
      };
    },
  });
});
