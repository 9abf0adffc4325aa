// What etcd is asked, in etcd3's types.

import type {
  IAuthenticateRequest,
  IAuthenticateResponse,
  IDuplexStream,
  ILeaseGrantRequest,
  ILeaseGrantResponse,
  ILeaseKeepAliveRequest,
  ILeaseKeepAliveResponse,
  ILeaseRevokeRequest,
  ILeaseRevokeResponse,
  ILeaseTimeToLiveRequest,
  ILeaseTimeToLiveResponse,
  IRangeRequest,
  IRangeResponse,
  IStatusResponse,
  ITxnRequest,
  ITxnResponse,
  IWatchRequest,
  IWatchResponse,
} from "etcd3/lib/rpc.js";

export type {
  ICompare as Compare,
  IKeyValue as KeyValue,
  IRequestOp as Operation,
  IResponseOp as OperationResult,
  ITxnRequest as Txn,
} from "etcd3/lib/rpc.js";

interface Call<Ask, Answer> {
  readonly ask: Ask;
  readonly answer: Answer;
}

/** Questions with one answer each. */
export interface Calls {
  readonly Auth: {
    readonly authenticate: Call<IAuthenticateRequest, IAuthenticateResponse>;
  };
  readonly KV: {
    readonly range: Call<IRangeRequest, IRangeResponse>;
    readonly txn: Call<ITxnRequest, ITxnResponse>;
  };
  readonly Lease: {
    readonly leaseGrant: Call<ILeaseGrantRequest, ILeaseGrantResponse>;
    readonly leaseRevoke: Call<ILeaseRevokeRequest, ILeaseRevokeResponse>;
    readonly leaseTimeToLive: Call<ILeaseTimeToLiveRequest, ILeaseTimeToLiveResponse>;
  };
  readonly Maintenance: {
    readonly status: Call<object, IStatusResponse>;
  };
  readonly Watch: object;
}

export type Service = keyof Calls;

/** Streams in both directions. */
export interface Streams {
  readonly Lease: IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>;
  readonly Watch: IDuplexStream<IWatchRequest, IWatchResponse>;
}
