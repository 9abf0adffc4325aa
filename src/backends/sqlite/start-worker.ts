import { Worker } from "node:worker_threads";
import type { WorkerOptions } from "./messages.js";

// The bundle's worker lies beside every chunk of it; run from source, the built one is used.
const WORKER_URL = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/sqlite-worker.js" : "./sqlite-worker.js",
  import.meta.url,
);

/** Starts the thread that serves a store. The single file has another way: start-worker.embedded.ts */
export function startWorker(options: WorkerOptions): Worker {
  return new Worker(WORKER_URL, { workerData: options });
}
