import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema, StatusSchema } from "../../../src/gen/google/rpc/status_pb.js";
import { LockHeldSchema } from "../../../src/gen/stormlock/v1/lock_pb.js";

type LockConstructor = new (
  address: string,
  credentials: grpc.ChannelCredentials,
  options?: object,
) => grpc.Client;

/** What a call answers: a status as a stranger's library sees it, and the message of a yes. */
export interface Answer {
  readonly code: grpc.status;
  readonly details: string;
  readonly message: Readonly<Record<string, unknown>>;
  /** Of the google.rpc.Status in the trailers. */
  readonly reason: string | undefined;
  readonly field: string | undefined;
  readonly holder: string | undefined;
}

/** A client as others have it: grpc-js, and the .proto read by proto-loader. */
export class StockClient implements AsyncDisposable {
  readonly client: grpc.Client;

  constructor(
    address: string,
    credentials: grpc.ChannelCredentials = grpc.credentials.createInsecure(),
    options: object = {},
  ) {
    const loaded = grpc.loadPackageDefinition(
      loadSync("stormlock/v1/lock.proto", {
        includeDirs: ["proto"],
        keepCase: true,
        defaults: true,
        longs: String,
        enums: String,
      }),
    );
    const v1 = (loaded["stormlock"] as grpc.GrpcObject)["v1"] as grpc.GrpcObject;
    const Lock = v1["LockService"] as unknown as LockConstructor;
    this.client = new Lock(address, credentials, {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_http_proxy": 0,
      ...options,
    });
  }

  /** Starts a call. */
  begin(
    method: string,
    request: object,
    options: grpc.CallOptions = {},
  ): { readonly answer: Promise<Answer>; cancel(): void } {
    const methods = this.client as unknown as Record<
      string,
      (
        request: object,
        options: grpc.CallOptions,
        callback: (error: grpc.ServiceError | null, message?: Answer["message"]) => void,
      ) => grpc.ClientUnaryCall
    >;
    let call: grpc.ClientUnaryCall | undefined;
    const answer = new Promise<Answer>((resolve) => {
      call = methods[method]?.call(this.client, request, options, (error, message = {}) => {
        resolve({ ...answerOf(error), message });
      });
    });
    return { answer, cancel: () => call?.cancel() };
  }

  call(method: string, request: object, options: grpc.CallOptions = {}): Promise<Answer> {
    return this.begin(method, request, options).answer;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    return Promise.resolve();
  }
}

const NOTHING = {
  code: grpc.status.OK,
  details: "",
  message: {},
  reason: undefined,
  field: undefined,
  holder: undefined,
};

/** How a call or a stream has ended; null is a good end. */
export function answerOf(error: grpc.ServiceError | null): Answer {
  if (error === null) return NOTHING;
  const [encoded] = error.metadata.get("grpc-status-details-bin");
  const told = { ...NOTHING, code: error.code, details: error.details };
  if (!(encoded instanceof Buffer)) return told;
  const { details } = fromBinary(StatusSchema, encoded);
  const info = details.map((any) => anyUnpack(any, ErrorInfoSchema)).find(Boolean);
  const held = details.map((any) => anyUnpack(any, LockHeldSchema)).find(Boolean);
  return {
    ...told,
    reason: info?.reason,
    field: info?.metadata["field"],
    holder: held?.holder?.principal,
  };
}
