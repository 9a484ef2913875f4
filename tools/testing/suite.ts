/** What a test suite is to `make test`: something that runs, leaves a log and counts. */
import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");
/** Logs and machine-readable results of the last run, one file for each suite. */
export const RESULTS = join(ROOT, ".cache/test");

export interface Skip {
  readonly name: string;
  readonly why: string;
  /** How many tests this stands for. */
  readonly count: number;
}

export interface Outcome {
  readonly passed: number;
  readonly failed: readonly string[];
  readonly skipped: readonly Skip[];
  /** Figures that people want to see, whatever the outcome. */
  readonly notes?: readonly string[];
  /** Shown when something failed. */
  readonly log?: string;
}

export interface Suite {
  readonly name: string;
  readonly what: string;
  run(): Promise<Outcome>;
}

export interface Finished {
  readonly status: number;
  readonly output: string;
  readonly log: string;
}

/** Runs a program to its end; its output goes to `<RESULTS>/<name>.log`. A program beyond `minutes` is ended and counts as failed. */
export async function runProgram(
  name: string,
  command: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly minutes?: number } = {},
): Promise<Finished> {
  mkdirSync(RESULTS, { recursive: true });
  const log = join(RESULTS, `${name}.log`);
  const sink = createWriteStream(log);
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.on("data", (chunk: Buffer) => sink.write(chunk));
  child.stderr.on("data", (chunk: Buffer) => sink.write(chunk));
  const limit = options.minutes ?? 20;
  const alarm = setTimeout(() => {
    sink.write(`\nended after ${limit} minutes\n`);
    child.kill("SIGTERM");
  }, limit * 60_000);
  const status = await new Promise<number>((resolve) => {
    child.once("error", (error) => {
      sink.write(`${program}: ${error.message}\n`);
      resolve(127);
    });
    child.once("close", (code, signal) => resolve(signal === null ? (code ?? 1) : 128));
  });
  clearTimeout(alarm);
  await new Promise<void>((resolve) => sink.end(resolve));
  return { status, output: readFileSync(log, "utf8"), log };
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

/**
 * A vitest configuration as a suite. A skipped test says why in its name: "... (needs root)". What a test prints behind "note: " is
 * shown.
 */
export async function runVitest(name: string, args: readonly string[], minutes = 20): Promise<Outcome> {
  const report = join(RESULTS, `${name}.json`);
  const done = await runProgram(
    name,
    ["vitest", "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...args],
    { minutes, env: { NO_COLOR: "1", FORCE_COLOR: undefined } },
  );
  let parsed: VitestReport;
  try {
    parsed = JSON.parse(readFileSync(report, "utf8")) as VitestReport;
  } catch {
    return { passed: 0, failed: [`${name}: vitest left no report`], skipped: [], log: done.log };
  }
  const failed: string[] = [];
  const skipped: Skip[] = [];
  for (const file of parsed.testResults) {
    if (file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed")) {
      failed.push(`${file.name}: ${file.message}`);
    }
    for (const test of file.assertionResults) {
      if (test.status === "failed") failed.push(`${test.fullName}\n${beginning(test.failureMessages?.[0])}`);
      else if (test.status !== "passed") skipped.push(skip(test.fullName));
    }
  }
  if (done.status !== 0 && failed.length === 0)
    failed.push(`${name}: vitest ended with status ${done.status}`);
  const notes = [...done.output.matchAll(/^note: (.*)$/gm)].map((match) => match[1] as string);
  return { passed: parsed.numPassedTests, failed, skipped, notes, log: done.log };
}

/** What was wrong, without the logs behind it: those are in the suite's own. */
function beginning(message = "it left no message"): string {
  // vitest's stand-in: an error of its own time limit has no stack, and its report no message.
  const said = message.replace("Error: STACK_TRACE_ERROR", "It ran into its time limit.");
  const lines = said.split("\n").filter((line) => line.trim() !== "");
  return lines
    .slice(0, 6)
    .map((line) => `         ${line.slice(0, 240)}`)
    .join("\n");
}

/** The reason stands in the name of the test or of a group around it. */
function skip(fullName: string): Skip {
  const match = /\s*\((needs [^()]*)\)/.exec(fullName) ?? /\s*\(([^()]*)\)\s*$/.exec(fullName);
  if (match === null) return { name: fullName, why: "marked so", count: 1 };
  return { name: fullName.replace(match[0], ""), why: match[1] as string, count: 1 };
}
