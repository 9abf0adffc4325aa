// etcd counts the requests that it has answered. A daemon's question is two of them or three: it
// reads, and then writes on the condition that nothing has changed.

import type { OpenCounter } from "./counter.js";

export const openEtcdCounter: OpenCounter = (settings) => {
  const { host = "", port = "" } = settings;
  return Promise.resolve({
    async operations() {
      const answer = await fetch(`http://${host}:${port}/metrics`);
      const calls = (await answer.text()).matchAll(
        /^grpc_server_handled_total\{grpc_code="OK".*grpc_service="etcdserverpb.KV".* (\S+)$/gmu,
      );
      return [...calls].reduce((sum, [, count]) => sum + Number(count), 0);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
};
