import { fromBinary, toBinary, type DescFile } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  type DescriptorProto,
  type FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { service as healthService } from "grpc-health-check";
import { file_google_rpc_status } from "../../gen/google/rpc/status_pb.js";
import { file_stormlock_v1_lock } from "../../gen/stormlock/v1/lock_pb.js";

type Described = ConstructorParameters<typeof ReflectionService>[0];

/** Lets clients ask what this server offers; the status messages too, for its error details. */
export function addReflection(server: Server): void {
  const files = new Map<string, FileDescriptorProto>();
  collect(file_stormlock_v1_lock, files);
  collect(file_google_rpc_status, files);
  for (const bytes of healthService["Check"]?.requestType.fileDescriptorProtos ?? []) {
    const file = fromBinary(FileDescriptorProtoSchema, bytes);
    for (const message of file.messageType) nameMapEntries(message, `.${file.package}`);
    files.set(file.name, file);
  }
  const fileDescriptorProtos = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file)),
  );
  // The package asks for what proto-loader makes, and reads this one field of it.
  const described = { stormlock: { fileDescriptorProtos } } as unknown as Described;
  new ReflectionService(described).addToServer(server);
}

function collect(file: DescFile, into: Map<string, FileDescriptorProto>): void {
  for (const imported of file.dependencies) collect(imported, into);
  into.set(file.proto.name, file.proto);
}

// proto-loader calls the entries of a map field `statuses` Statuses; a descriptor must call
// them StatusesEntry, or clients refuse the whole file.
function nameMapEntries(message: DescriptorProto, scope: string): void {
  const own = `${scope}.${message.name}`;
  for (const entry of message.nestedType) {
    const wrong = entry.name;
    if (entry.options?.mapEntry !== true || wrong.endsWith("Entry")) continue;
    entry.name = `${wrong}Entry`;
    for (const field of message.field) {
      if (field.typeName === wrong) field.typeName = `${own}.${entry.name}`;
    }
  }
}
