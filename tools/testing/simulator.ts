/** The simulator as a suite: one process, many seeds. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Outcome, ROOT, runProgram } from "./suite.ts";

export async function runSimulator(runs: number): Promise<Outcome> {
  if (!existsSync(join(ROOT, "test/sim/main.ts"))) {
    return { passed: 0, failed: ["test/sim/main.ts is missing"], skipped: [] };
  }
  const done = await runProgram("sim", ["node", "test/sim/main.ts"], {
    env: { RUNS: String(runs) },
    minutes: 10,
  });
  if (done.status === 0) return { passed: 1, failed: [], skipped: [], log: done.log };
  return { passed: 0, failed: [`${runs} simulated networks`], skipped: [], log: done.log };
}
