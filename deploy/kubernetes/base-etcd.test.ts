import { playBase } from "./base-play.js";
import { etcd } from "./databases/etcd.js";

playBase(etcd);
