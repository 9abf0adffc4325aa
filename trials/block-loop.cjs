// Loaded into a wrapper by NODE_OPTIONS: blocks its event loop when the file TRIALS_BLOCK changes,
// for as many ms as stand in it. The command that the wrapper runs gets nothing of this.
const { appendFileSync, readFileSync, watch } = require("node:fs");

const file = process.env.TRIALS_BLOCK;
delete process.env.TRIALS_BLOCK;
delete process.env.NODE_OPTIONS;

const watcher = watch(file, () => {
  const ms = Number(readFileSync(file, "utf8"));
  if (!(ms > 0)) return;
  watcher.close();
  appendFileSync(`${file}.done`, "blocked\n");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
});
watcher.unref();
