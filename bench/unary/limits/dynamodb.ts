import {
  CreateTableCommand,
  DeleteItemCommand,
  DynamoDBClient,
  PutItemCommand,
  ResourceInUseException,
} from "@aws-sdk/client-dynamodb";
import type { OpenLimit } from "./limit.js";

const TableName = "bench";

// Conditional writes have no batches: so many at once.
export const openDynamodbLimit: OpenLimit = async (settings) => {
  const client = new DynamoDBClient({
    endpoint: settings["endpoint"] ?? "",
    region: settings["region"] ?? "",
    credentials: {
      accessKeyId: settings["access_key_id"] ?? "",
      secretAccessKey: settings["secret_access_key"] ?? "",
    },
  });
  const made = client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: [{ AttributeName: "name", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "name", AttributeType: "S" }],
    }),
  );
  await made.catch((thrown: unknown) => {
    // An earlier round has made it.
    if (!(thrown instanceof ResourceInUseException)) throw thrown;
  });
  return {
    async pairs(names) {
      await Promise.all(
        names.map(async (name) => {
          const Item = { name: { S: name }, id: { S: "id" } };
          const isNew = "attribute_not_exists(id)";
          await client.send(new PutItemCommand({ TableName, Item, ConditionExpression: isNew }));
          await client.send(
            new DeleteItemCommand({
              ...{ TableName, Key: { name: { S: name } }, ConditionExpression: "id = :id" },
              ExpressionAttributeValues: { ":id": { S: "id" } },
            }),
          );
        }),
      );
    },
    [Symbol.asyncDispose]() {
      client.destroy();
      return Promise.resolve();
    },
  };
};
