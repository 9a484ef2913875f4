/** The simulator as a suite: many seeds, shared out to one process for each core. */
import { availableParallelism } from "node:os";
import { type Outcome, runProgram } from "./suite.ts";

export async function runSimulator(runs: number): Promise<Outcome> {
  const processes = Math.min(availableParallelism(), 8);
  const share = Math.ceil(runs / processes);
  const parts = await Promise.all(
    Array.from({ length: processes }, (_, index) => {
      // Only the process without SEED runs the seeds that failed once.
      const seed = index === 0 ? {} : { SEED: String(1 + index * share) };
      const env = { ...seed, RUNS: String(share) };
      return runProgram(index === 0 ? "sim" : `sim-${index}`, ["node", "test/sim/main.ts"], {
        env,
        minutes: 10,
      });
    }),
  );
  const bad = parts.find((part) => part.status !== 0);
  if (bad === undefined) return { passed: 1, failed: [], skipped: [] };
  const seeds = parts.flatMap((part) =>
    [...part.output.matchAll(/^seed (\d+) FAILS/gm)].map((match) => match[1]),
  );
  const names = seeds.length > 0 ? seeds.map((seed) => `make sim SEED=${seed}`) : ["test/sim/main.ts"];
  return { passed: 0, failed: names, skipped: [], log: bad.log };
}
