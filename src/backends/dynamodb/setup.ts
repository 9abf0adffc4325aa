import type { BackendSetup } from "../type.js";
import { optionsOf, type DynamodbSettings } from "./settings.js";
import { createTable, pruningOf, tableDefinition } from "./table.js";

/** The table as the AWS command line takes it, and how it is made. */
export function dynamodbSetup(settings: DynamodbSettings): BackendSetup {
  const { table, place } = optionsOf(settings);
  const definition = {
    "create-table": tableDefinition(table),
    "update-time-to-live": pruningOf(table),
  };
  return {
    text: JSON.stringify(definition, undefined, 2),
    run: async (deps) => {
      const { isNew } = await createTable(settings, deps);
      return `${isNew ? "made" : "there is"} the table ${place}`;
    },
  };
}
