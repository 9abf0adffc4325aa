// SQLite needs file locks and shared memory that work. Over a network they do not: two hosts
// would each believe that they hold a lock, and the file would be damaged.

import { readFile, realpath, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { LockError } from "../../lock/errors.js";

export type StatFs = (path: string) => Promise<{ readonly type: number }>;

// From statfs(2) and linux/magic.h.
const NETWORK_TYPES: Readonly<Record<number, string>> = {
  0x6969: "nfs",
  0x517b: "smb",
  0xff534d42: "cifs",
  0xfe534d42: "smb2",
  0x01021997: "9p",
  0x5346414f: "afs",
  0x6b414653: "afs",
  0x73757245: "coda",
  0x564c: "ncp",
  0x00c36400: "ceph",
  0x01161970: "gfs2",
  0x7461636f: "ocfs2",
  0x0bd00bd0: "lustre",
  0x47504653: "gpfs",
  0x19830326: "beegfs",
};

const FUSE_TYPE = 0x65735546;

// What is behind FUSE stands only in the mount table. Local ones (overlays, ntfs) are left be.
const NETWORK_FUSE =
  /^fuse\.(?:sshfs|rclone|s3fs|goofys|geesefs|mount-s3|gcsfuse|blobfuse2?|glusterfs|ceph|ceph-fuse|davfs2?|curlftpfs|juicefs|moosefs|mfs|lizardfs|seaweedfs|weed|gvfsd-fuse|afp.*)$/u;

/** How the file system is asked; tests answer for it. */
export interface Probes {
  readonly statFs?: StatFs;
  /** Linux's table of mounts, as /proc/self/mountinfo has it. */
  readonly mounts?: () => Promise<string>;
  readonly realPath?: (path: string) => Promise<string>;
}

/**
 * Refuses a path on a network file system.
 * On macOS the numbers mean other things, and nothing is refused.
 * @throws LockError "unavailable" naming the path and the file system
 */
export async function refuseNetworkFileSystem(
  path: string,
  { statFs = statfs, mounts = readMounts, realPath = realpath }: Probes = {},
): Promise<void> {
  if (process.platform !== "linux") return;
  const place = await nearestExisting(path, realPath);
  const type = (await statFs(place)).type >>> 0;
  const name = type === FUSE_TYPE ? networkFuse(await mounts(), place) : NETWORK_TYPES[type];
  if (name === undefined) return;
  throw new LockError(
    "unavailable",
    `the store ${path} is on a network file system (${name}), where file locks cannot be relied on: name a path on a local disk, or use a database that is made for several hosts`,
  );
}

async function nearestExisting(
  path: string,
  realPath: (path: string) => Promise<string>,
): Promise<string> {
  for (let place = path; place !== dirname(place); place = dirname(place)) {
    const real = await realPath(place).catch(() => undefined);
    if (real !== undefined) return real;
  }
  return "/";
}

function readMounts(): Promise<string> {
  return readFile("/proc/self/mountinfo", "utf8").catch(() => "");
}

// The mount with the longest path above the place is the one that it is on; the last of
// several at one path hides the others. The columns are those of proc(5): the mount point is
// the 5th, the type is the first after a lone dash.
function networkFuse(mounts: string, place: string): string | undefined {
  let found = { point: "", type: "" };
  for (const line of mounts.split("\n")) {
    const columns = line.split(" ");
    const point = (columns[4] ?? "").replace(/\\([0-7]{3})/gu, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    const type = columns[columns.indexOf("-") + 1] ?? "";
    const isAbove = point !== "" && `${place}/`.startsWith(point === "/" ? "/" : `${point}/`);
    if (isAbove && point.length >= found.point.length) found = { point, type };
  }
  return NETWORK_FUSE.test(found.type) ? found.type : undefined;
}
