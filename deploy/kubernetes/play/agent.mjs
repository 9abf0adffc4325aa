// What runs on a node beside its pods: it leads connections to a Service's address on to one of
// the Service's endpoints, and asks what probes ask.
//
// A question is a line of JSON on stdin, its answer one on stdout, by the same id:
//   {"id": 1, "lead": {"from": "10.42.0.200:7420", "to": ["10.42.0.2:7420"]}}     true when it does
//   {"id": 2, "http": "http://10.42.0.2:7430/held", "withinMs": 3000}             whether it passes
//   {"id": 3, "grpc": {"address": "10.42.0.2:7420", "service": ""}, "withinMs": 3000}
//
// A connection stays where it is when that is no endpoint any more, as with the kernel's own way.
// Ends when its stdin does.
import { Buffer } from "node:buffer";
import { get } from "node:http";
import { createConnection, createServer } from "node:net";
import { createInterface } from "node:readline";

const SERVING = Buffer.from([8, 1]);

/** Addresses that are led from, each with where to. */
const led = new Map();
let turn = 0;

function lead({ from, to }) {
  const known = led.get(from);
  if (known !== undefined) {
    known.to = to;
    return Promise.resolve(true);
  }
  const way = { to };
  led.set(from, way);
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    if (way.to.length === 0) {
      near.on("error", () => undefined).resetAndDestroy();
      return;
    }
    const target = way.to[turn++ % way.to.length];
    const far = createConnection({ ...placeOf(target), noDelay: true, allowHalfOpen: true });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      one.pipe(other);
      one.on("error", () => undefined).once("close", () => other.destroy());
    }
  });
  return new Promise((done, failed) => {
    server.once("error", failed).listen(placeOf(from), () => done(true));
  });
}

function placeOf(address) {
  if (address.startsWith("unix:")) return { path: address.slice("unix:".length) };
  const [host, port] = address.split(":");
  return { host, port: Number(port) };
}

function http(url, withinMs) {
  return new Promise((done) => {
    const asked = get(url, { agent: false, timeout: withinMs }, ({ statusCode }) => {
      asked.destroy();
      done(statusCode >= 200 && statusCode < 400);
    });
    asked.on("error", () => done(false)).on("timeout", () => asked.destroy());
  });
}

async function grpc({ address, service }, withinMs) {
  const { Client, credentials } = await import("@grpc/grpc-js");
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const bytes = (each) => each;
  // HealthCheckRequest, whose first field is the name.
  const name = Buffer.from(service);
  const request = name.length === 0 ? name : Buffer.from([0x0a, name.length, ...name]);
  try {
    return await new Promise((done) => {
      client.makeUnaryRequest(
        "/grpc.health.v1.Health/Check",
        ...[bytes, bytes, request, { deadline: Date.now() + withinMs }],
        (error, answer) => done(error === null && SERVING.equals(answer)),
      );
    });
  } finally {
    client.close();
  }
}

function answerTo(question) {
  if (question.lead !== undefined) return lead(question.lead);
  if (question.http !== undefined) return http(question.http, question.withinMs);
  return grpc(question.grpc, question.withinMs);
}

createInterface(process.stdin)
  .on("line", (line) => {
    const question = JSON.parse(line);
    answerTo(question).then(
      (answer) => console.log(JSON.stringify({ id: question.id, answer })),
      (error) => console.log(JSON.stringify({ id: question.id, error: String(error) })),
    );
  })
  .on("close", () => process.exit(0));
