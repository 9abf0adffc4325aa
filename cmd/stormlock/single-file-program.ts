// What the single file runs for every command.

export { runProgram } from "./program.js";
/** For the build, which runs some commands to see what is worth compiling beforehand. */
export { run } from "./run.js";
