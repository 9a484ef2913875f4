/** The C++ tests: each program once plain, once under ASan and UBSan, once under TSan. */
import { existsSync, globSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { type Outcome, ROOT, runProgram } from "./suite.ts";

const VARIANTS = { native: "plain", asan: "asan", tsan: "tsan" } as const;

/** Builds and runs one variant of every native/test program. */
export async function runNative(name: keyof typeof VARIANTS): Promise<Outcome> {
  const target = name === "native" ? "native-test" : `native-${name}`;
  const done = await runProgram(name, make([target]));
  const failed: string[] = [];
  let passed = 0;
  for (const source of globSync("native/test/*_test.cc", { cwd: ROOT })) {
    const program = join(ROOT, "native/build", VARIANTS[name], "test", basename(source, ".cc"));
    if (isNewer(`${program}.passed`, program)) passed++;
    else failed.push(`${source} (${VARIANTS[name]})`);
  }
  if (done.status !== 0 && failed.length === 0) failed.push(`make ${target}`);
  return { passed, failed, skipped: [], log: done.log };
}

/** Fuzzes the packet parser and, where clang is, the targets of native/fuzz, after their corpora were replayed under ASan. */
export async function runFuzz(seconds: number): Promise<Outcome> {
  const targets = globSync("native/fuzz/*_fuzz.cc", { cwd: ROOT }).map((path) => basename(path, ".cc"));
  const replay = await runProgram("fuzz-replay", make(["native-replay"]));
  if (replay.status !== 0)
    return { passed: 0, failed: ["replay of the corpora"], skipped: [], log: replay.log };
  const parser = await runProgram("fuzz-parse", ["node", "test/fuzz/parse.ts", `${seconds}`]);
  if (parser.status !== 0) return { passed: 1, failed: ["fuzz parse"], skipped: [], log: parser.log };
  const probe = await runProgram("fuzz-probe", ["clang++", "--version"]);
  if (probe.status !== 0) {
    const why = "clang is not installed";
    return { passed: 2, failed: [], skipped: [{ name: targets.join(", "), why, count: targets.length }] };
  }
  const done = await runProgram("fuzz", make(["native-fuzz", `FUZZ_SECONDS=${seconds}`]));
  if (done.status === 0) return { passed: 2 + targets.length, failed: [], skipped: [], log: done.log };
  const begun = [...done.output.matchAll(/^fuzz (\S+)$/gm)].map((match) => match[1] as string);
  const at = begun.at(-1) ?? "build";
  return { passed: 1 + begun.length, failed: [`fuzz ${at}`], skipped: [], log: done.log };
}

function make(args: readonly string[]): string[] {
  return ["make", "-k", "-s", "-f", "native/native.mk", `-j${availableParallelism()}`, ...args];
}

function isNewer(file: string, than: string): boolean {
  return existsSync(file) && existsSync(than) && statSync(file).mtimeMs >= statSync(than).mtimeMs;
}
