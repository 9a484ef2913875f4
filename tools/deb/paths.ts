/** Where the package is made, and how programs are run for it. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");
/** What belongs to the package and to nothing else of the project. */
export const DEBIAN = join(ROOT, "deploy/debian");
/** Downloads and intermediate files. */
export const CACHE = join(ROOT, ".cache/deb");

export type Arch = "amd64" | "arm64";

/** What this machine's own packages are called. */
export const NATIVE_ARCH: Arch = process.arch === "arm64" ? "arm64" : "amd64";

/** Runs a program that must succeed; gives its standard output. */
export function run(
  command: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): string {
  const [program = "", ...args] = command;
  return execFileSync(program, args, {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, ...options.env },
    encoding: "utf8",
    maxBuffer: 64 << 20,
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** Something that this machine lacks, in words that say what to do. */
export class Lacking extends Error {}
