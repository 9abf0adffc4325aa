// As a kubelet's gRPC probe: ends with 0 when the service serves.
//   node grpc-probe.js HOST:PORT SERVICE SECONDS
import { credentials, makeGenericClientConstructor } from "@grpc/grpc-js";
import { service as health } from "grpc-health-check";

const [address = "", service = "", seconds = ""] = process.argv.slice(2);
const Health = makeGenericClientConstructor(health, "Health");
const client = new Health(address, credentials.createInsecure());
client.check({ service }, { deadline: Date.now() + Number(seconds) * 1000 }, (error, answer) => {
  process.exit(error === null && answer.status === "SERVING" ? 0 : 1);
});
