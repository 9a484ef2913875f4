/** The control API's schema, `proto/hipd/v1/control.proto`, as serialisers for gRPC and as plain values for everybody else. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

export const SERVICE = "hipd.v1.Control";

/** What gRPC needs to know of one method. */
export interface MethodSchema {
  readonly name: string;
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: unknown) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (value: unknown) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
}

/** Each method of the service by its name. The file is read once. */
export function controlMethods(): ReadonlyMap<string, MethodSchema> {
  cached ??= load();
  return cached;
}

let cached: ReadonlyMap<string, MethodSchema> | undefined;

function load(): ReadonlyMap<string, MethodSchema> {
  const root = protobuf.parse(readFileSync(schemaFile(), "utf8")).root.resolveAll();
  const methods = new Map<string, MethodSchema>();
  for (const method of root.lookupService(SERVICE).methodsArray) {
    const request = root.lookupType(method.requestType);
    const response = root.lookupType(method.responseType);
    methods.set(method.name, {
      name: method.name,
      path: `/${SERVICE}/${method.name}`,
      requestStream: method.requestStream === true,
      responseStream: method.responseStream === true,
      requestSerialize: (value) => encode(request, value),
      requestDeserialize: (bytes) => decode(request, bytes),
      responseSerialize: (value) => encode(response, value),
      responseDeserialize: (bytes) => decode(response, bytes),
    });
  }
  return methods;
}

/** The folder `proto` of the checkout or package that this file belongs to. */
function schemaFile(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let up = 0; up < 5; up++) {
    const file = join(folder, "proto/hipd/v1/control.proto");
    try {
      readFileSync(file);
      return file;
    } catch {
      folder = dirname(folder);
    }
  }
  throw new Error("proto/hipd/v1/control.proto is missing from this installation of hipd");
}

/** Null and undefined are absent fields. */
function encode(type: protobuf.Type, value: unknown): Buffer {
  const object = type.fromObject(value as Record<string, unknown>);
  return Buffer.from(type.encode(object).finish());
}

/** Every field of the message in the schema's order: absent optional ones are null, 64-bit numbers are numbers. */
function decode(type: protobuf.Type, bytes: Buffer): unknown {
  return plain(type, type.decode(bytes) as unknown as Record<string, unknown>);
}

function plain(type: protobuf.Type, message: Record<string, unknown>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    const present = Object.hasOwn(message, field.name);
    const value = message[field.name];
    if (field.map) {
      const entries = Object.entries((value ?? {}) as Record<string, unknown>);
      result[field.name] = Object.fromEntries(entries.map(([key, item]) => [key, plainValue(field, item)]));
    } else if (field.repeated) {
      result[field.name] = ((value ?? []) as unknown[]).map((item) => plainValue(field, item));
    } else if (present && value !== null && value !== undefined) {
      result[field.name] = plainValue(field, value);
    } else if (field.partOf !== null || field.resolvedType instanceof protobuf.Type) {
      result[field.name] = null;
    } else {
      result[field.name] = plainValue(field, field.typeDefault);
    }
  }
  return result;
}

function plainValue(field: protobuf.Field, value: unknown): unknown {
  if (field.resolvedType instanceof protobuf.Type) {
    return plain(field.resolvedType, value as Record<string, unknown>);
  }
  // A 64-bit number is a Long where that package is present.
  if (typeof value === "object" && value !== null && "toNumber" in value) return Number(String(value));
  return value;
}
