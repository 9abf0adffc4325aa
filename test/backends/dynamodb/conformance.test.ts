import { afterAll, beforeAll, describe, it } from "vitest";
import { createTable } from "../../../src/backends/dynamodb/backend.js";
import { conformance } from "../../../src/conformance.js";
import { systemClock } from "../../../src/system-clock.js";
import { DynamodbServer, missingDynamodb } from "../../support/servers/dynamodb.js";
import { client, settingsFor } from "./stage.js";

const missing = await missingDynamodb();

describe.skipIf(missing !== undefined)(
  `dynamodb${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let server: DynamodbServer;

    beforeAll(async () => {
      server = await DynamodbServer.start();
      await createTable(settingsFor(server.endpoint), { clock: systemClock });
    });

    afterAll(async () => {
      await server[Symbol.asyncDispose]();
    });

    conformance({
      runner: { describe, it },
      open: () => client(settingsFor(server.endpoint)),
    });
  },
);
