/** The npm packages that hipd needs at run time: which, and what of their files. */
import { cpSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, extname, join, relative } from "node:path";
import { ROOT } from "./paths.ts";

export interface NpmPackage {
  /** In the tree: "node_modules/pino". */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** "sha512-...", as in the lockfile. */
  readonly integrity: string;
}

interface LockEntry {
  readonly integrity?: string;
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

/** Types only, which nothing loads: an older protobufjs asks for them. */
const ONLY_TYPES = new Set(["@types/node", "undici-types"]);

/** Every production package of the lockfile, in its order. */
export function productionPackages(): readonly NpmPackage[] {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, LockEntry>;
  };
  return Object.entries(lock.packages).flatMap(([path, entry]) => {
    const { version = "", license = "", integrity = "", dev, optional } = entry;
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    if (path === "" || dev === true || ONLY_TYPES.has(name)) return [];
    if (optional === true && !existsSync(join(ROOT, path))) return [];
    return [{ path, name, version, license, integrity }];
  });
}

const LOADED = new Set([".js", ".cjs", ".mjs", ".json", ".proto", ".node"]);
const NEVER_LOADED = new Set([
  "__tests__",
  "bench",
  "benchmark",
  "benchmarks",
  "docs",
  "docsify",
  "example",
  "examples",
  "man",
  "test",
  "tests",
  "typings",
]);

/** Copies what Node may load, without tests, types, sources of what was compiled and documents. */
export function copyPackage({ path }: NpmPackage, target: string): void {
  const from = join(ROOT, path);
  cpSync(from, join(target, path), {
    recursive: true,
    dereference: true,
    filter: (file) => {
      const inside = relative(from, file);
      if (inside === "") return true;
      const name = basename(file);
      if (name === "node_modules" || name.startsWith(".")) return false;
      if (statSync(file).isDirectory()) return inside.includes("/") || !NEVER_LOADED.has(name);
      if (!LOADED.has(extname(name)) || name.endsWith(".min.js")) return false;
      // Commands of packages, which nobody calls here.
      return !readFileSync(file, "latin1").startsWith("#!");
    },
  });
}

/** The texts of a package's licence files. */
export function licenceTexts({ path }: NpmPackage): readonly string[] {
  const folder = join(ROOT, path);
  return readdirSync(folder)
    .filter((name) => /^(licen[cs]e|copying|notice|unlicense)/i.test(name))
    .sort()
    .map((name) => readFileSync(join(folder, name), "utf8").trimEnd());
}
