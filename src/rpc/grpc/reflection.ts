import { toBinary, type DescFile } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { ReflectionService } from "@grpc/reflection";
import type { Server } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { file_google_rpc_status } from "../../gen/google/rpc/status_pb.js";
import { file_stormlock_v1_lock } from "../../gen/stormlock/v1/lock_pb.js";

type Described = ConstructorParameters<typeof ReflectionService>[0];

/** Lets clients ask what this server offers; the status messages too, for its error details. */
export function addReflection(server: Server): void {
  const files = new Map<string, Uint8Array>();
  collect(file_stormlock_v1_lock, files);
  collect(file_google_rpc_status, files);
  const own = { fileDescriptorProtos: [...files.values()].map((bytes) => Buffer.from(bytes)) };
  const { Check } = healthService;
  // The package asks for what its own loader makes, and reads this one field of it.
  const described = { own, health: Check?.requestType } as unknown as Described;
  new ReflectionService(described).addToServer(server);
}

function collect(file: DescFile, into: Map<string, Uint8Array>): void {
  for (const imported of file.dependencies) collect(imported, into);
  into.set(file.proto.name, toBinary(FileDescriptorProtoSchema, file.proto));
}
