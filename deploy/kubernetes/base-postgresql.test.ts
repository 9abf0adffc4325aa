import { playBase } from "./base-play.js";
import { postgresql } from "./databases/postgresql.js";

playBase(postgresql);
