/** OpenStack's config drive: a small disk with the metadata of the moment when the machine was made, if it is mounted. */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";

/** Where mounts are listed; `root` stands before every mount point. Both are other places in tests only. */
export interface ConfigDrive {
  readonly mounts: string;
  readonly root: string;
}

export const CONFIG_DRIVE: ConfigDrive = { mounts: "/proc/self/mounts", root: "/" };

/** The file systems that a config drive is made with. */
const FILE_SYSTEMS: ReadonlySet<string> = new Set(["iso9660", "vfat"]);
const MAX_FILE_BYTES = 64 * 1024;

export interface DriveFacts {
  readonly instance: string;
  readonly publicAddress: string;
}

/** Undefined: none is mounted. */
export function readConfigDrive({ mounts, root }: ConfigDrive): DriveFacts | undefined {
  for (const mount of mountPoints(mounts)) {
    const own = readJson(join(root, mount, "openstack/latest/meta_data.json"));
    if (own === undefined) continue;
    const ec2 = readJson(join(root, mount, "ec2/latest/meta-data.json"));
    return { instance: text(own["uuid"]), publicAddress: text(ec2?.["public-ipv4"]) };
  }
  return undefined;
}

function mountPoints(file: string): readonly string[] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.split(" "))
      .filter(([, , kind]) => FILE_SYSTEMS.has(kind ?? ""))
      .map(([, point]) => unquoted(point ?? ""));
  } catch {
    return [];
  }
}

/** proc(5): blanks and the like are written as octal numbers. */
function unquoted(point: string): string {
  return point.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function readJson(file: string): Readonly<Record<string, unknown>> | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, "r");
    const { size } = fstatSync(descriptor);
    if (size > MAX_FILE_BYTES) return undefined;
    const bytes = Buffer.alloc(size);
    const length = readSync(descriptor, bytes, 0, size, 0);
    const value = JSON.parse(bytes.subarray(0, length).toString("utf8")) as unknown;
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
