import type { Etcd3, IOptions } from "etcd3";
import type { EtcdServer } from "../../support/servers/etcd.js";

const ROOT = { username: "root", password: "root-secret" };
/** Who has the role. */
export const LOGIN = { user: "locker", password: "locker-secret" };

/**
 * Lets a server know users, with one role that has rights on one prefix, as docs/backends/etcd.md
 * tells to make it.
 * @returns a client that may do everything
 */
export async function withUsers(
  server: EtcdServer,
  options: Partial<IOptions> = {},
  login: typeof LOGIN = LOGIN,
): Promise<Etcd3> {
  const admin = server.admin(options);
  await admin.user(ROOT.username).create(ROOT.password);
  await admin.role("root").create();
  await admin.user(ROOT.username).addRole("root");
  const role = await admin.role("locker").create();
  await role.grant({ permission: "Readwrite", range: admin.range({ prefix: "stormlock/" }) });
  const user = await admin.user(login.user).create(login.password);
  await user.addRole("locker");
  await admin.auth.authEnable();
  return server.admin({ ...options, auth: ROOT });
}
