import { Etcd3 } from "etcd3";
import type { OpenLimit } from "./limit.js";

// It has no batches: so many transactions at once.
export const openEtcdLimit: OpenLimit = (settings) => {
  const etcd = new Etcd3({ hosts: `${settings["host"] ?? ""}:${settings["port"] ?? ""}` });
  return Promise.resolve({
    async pairs(names) {
      await Promise.all(
        names.map(async (name) => {
          const key = `bench/${name}`;
          await etcd.if(key, "Create", "==", 0).then(etcd.put(key).value("id")).commit();
          await etcd.if(key, "Value", "==", "id").then(etcd.delete().key(key)).commit();
        }),
      );
    },
    [Symbol.asyncDispose]() {
      etcd.close();
      return Promise.resolve();
    },
  });
};
