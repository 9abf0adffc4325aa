import { getAsset } from "node:sea";
import { Worker } from "node:worker_threads";
import type { WorkerOptions } from "./messages.js";

/** In the single file there is nothing beside the program: its parts lie within. */
export function startWorker(options: WorkerOptions): Worker {
  return new Worker(getAsset("sqlite-worker.js", "latin1"), { eval: true, workerData: options });
}
