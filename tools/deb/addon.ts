/** The data plane's addon for each architecture. */

import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import type { NodeBinary } from "./node-binary.ts";
import { type Arch, CACHE, Lacking, NATIVE_ARCH, ROOT, run } from "./paths.ts";

const CROSS = "aarch64-linux-gnu-g++";

/** Builds it where it is not this machine's own; gives the file. */
export function addon(arch: Arch, node: NodeBinary): string {
  const make = ["make", "-s", "-f", "native/native.mk", `-j${availableParallelism()}`];
  if (arch === NATIVE_ARCH) {
    run([...make, "native"]);
    return join(ROOT, "native/build/hipd_native.node");
  }
  if (arch !== "arm64") throw new Lacking(`an addon for ${arch} can only be built on ${arch}`);
  try {
    run([CROSS, "--version"]);
  } catch {
    throw new Lacking(`${CROSS} is needed for ${arch}: apt-get install g++-aarch64-linux-gnu`);
  }
  const build = relative(ROOT, join(CACHE, "native-arm64"));
  run([...make, "native", `CXX=${CROSS}`, `NATIVE_BUILD=${build}`, `NODE_DEV=${node.include}`]);
  return join(ROOT, build, "hipd_native.node");
}

const GLIBCXX: readonly (readonly [symbol: string, version: string])[] = [
  ["3.4.32", "13"],
  ["3.4.31", "13"],
  ["3.4.30", "12"],
  ["3.4.29", "11"],
  ["3.4.28", "9"],
  ["3.4.26", "9"],
  ["3.4.25", "8"],
];

/** What the binaries need of the system: Debian's packages with the versions that have all their symbols. */
export function libraryDepends(files: readonly string[], arch: Arch): string {
  const objdump = arch === NATIVE_ARCH ? "objdump" : "aarch64-linux-gnu-objdump";
  const text = files.map((file) => run([objdump, "-p", file])).join("\n");
  const libc = highest([...text.matchAll(/GLIBC_([0-9.]+)/g)].map((match) => match[1] as string));
  const libstdcxx = highest([...text.matchAll(/GLIBCXX_([0-9.]+)/g)].map((match) => match[1] as string));
  const gcc = GLIBCXX.find(([symbol]) => highest([symbol, libstdcxx]) === libstdcxx)?.[1] ?? "8";
  const depends = [`libc6 (>= ${libc})`, `libstdc++6 (>= ${gcc})`];
  for (const [soname, name] of [
    ["libgcc_s.so.1", "libgcc-s1"],
    ["libatomic.so.1", "libatomic1"],
  ] as const) {
    if (text.includes(soname)) depends.push(name);
  }
  return depends.join(", ");
}

function highest(versions: readonly string[]): string {
  const parts = (version: string): readonly number[] => version.split(".").map(Number);
  return versions.reduce((best, version) => {
    const [a, b] = [parts(best), parts(version)];
    for (let i = 0; i < Math.max(a.length, b.length); i++) {
      if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0) ? best : version;
    }
    return best;
  }, "0");
}
