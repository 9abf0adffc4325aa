// What is used of the AWS SDK, for it to be loaded when it is needed, in one piece. (It is not
// imported there itself: rolldown 1.3 looks under a wrong name for a package of CommonJS that is
// alone in its script.)

export {
  BatchGetItemCommand,
  CreateTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
  UpdateItemCommand,
  UpdateTimeToLiveCommand,
} from "@aws-sdk/client-dynamodb";
