/** The packages that are tested: one build under two versions, made once for all files. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { packageVersion } from "../../src/runtime/version.ts";
import { noMachines } from "../../tools/lab/machine.ts";
import { run } from "../../tools/lab/shell.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Two runs at a time do not share it. */
export const FOLDER = process.env["HIPD_PACKAGES"] ?? mkdtempSync(join(tmpdir(), "hipd-packages-"));

export const OLDER = packageVersion();
/** The version after it. */
export const NEWER = OLDER.replace(/[0-9]+$/, (last) => String(Number(last) + 1));

/** Where Debian's package of a version lies for machines. */
export function debOf(version: string): string {
  return `hipd_${version}_${process.arch === "arm64" ? "arm64" : "amd64"}.deb`;
}

export async function makePackage(version: string, folder: string): Promise<string> {
  const maker = [join(ROOT, "tools/deb/main.ts"), "--quick", "--version", version, "--out", folder];
  return (await run([process.execPath, ...maker], { timeoutMillis: 180_000 }))
    .trim()
    .split("\n")
    .at(-1) as string;
}

export async function setup(_project: TestProject): Promise<void> {
  process.env["HIPD_PACKAGES"] = FOLDER;
  if (noMachines() !== undefined) return;
  // apt reads packages as a user of its own.
  chmodSync(FOLDER, 0o755);
  for (const version of [OLDER, NEWER]) await makePackage(version, FOLDER);
}

export function teardown(): void {
  rmSync(FOLDER, { recursive: true, force: true });
}
