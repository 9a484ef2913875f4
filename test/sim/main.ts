/** Runs many worlds: `node test/sim/main.ts`, with RUNS (how many), SEED (one, or the first), VERBOSE, STATS (what was covered). Exit status 1: a seed fails. */
import { readFileSync } from "node:fs";
import { runSeed } from "./run.ts";

/** A setting of the environment; empty is the same as none. */
function setting(name: string): string | undefined {
  const value = process.env[name];
  return value === "" ? undefined : value;
}

const runs = Number(setting("RUNS") ?? "1000");
const first = setting("SEED");
const verbose = setting("VERBOSE") !== undefined;

/** Seeds that failed once: they come first, for ever. */
function keptSeeds(): readonly number[] {
  const text = readFileSync(new URL("./seeds.txt", import.meta.url), "utf8");
  return text
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "")
    .map(Number);
}

function seeds(): readonly number[] {
  const start = first === undefined ? 1 : Number(first);
  const count = first !== undefined && setting("RUNS") === undefined ? 1 : runs;
  const fresh = Array.from({ length: count }, (_, i) => start + i);
  return first === undefined ? [...keptSeeds(), ...fresh] : fresh;
}

const started = performance.now();
const failed: number[] = [];
let time = 0;
let slowest = 0;
const totals = new Map<string, number>();
const all = seeds();
for (const seed of all) {
  const outcome = runSeed(seed);
  time += outcome.time;
  for (const [what, n] of outcome.counts) totals.set(what, (totals.get(what) ?? 0) + n);
  slowest = Math.max(slowest, outcome.recovery);
  if (verbose)
    console.log(
      `seed ${seed}: ${outcome.hash} ${(outcome.time / 1000).toFixed(1)} s, recovery ${outcome.recovery} ms`,
    );
  if (outcome.breaches.length === 0) continue;
  failed.push(seed);
  console.log(`seed ${seed} FAILS (again with: make sim SEED=${seed})`);
  for (const breach of outcome.breaches) console.log(`  ${breach}`);
  if (failed.length === 1 || first !== undefined)
    console.log(outcome.picture(Number(setting("LINES") ?? "120")));
  if (failed.length >= Number(setting("MAX_FAILURES") ?? "5")) break;
}
if (setting("STATS") !== undefined) {
  for (const [what, n] of [...totals].sort(([a], [b]) => (a < b ? -1 : 1)))
    console.log(`${String(n).padStart(9)} ${what}`);
}
const seconds = (performance.now() - started) / 1000;
console.log(
  `${all.length} seeds, ${failed.length} failed, ${(time / 1000).toFixed(0)} s of virtual time in ${seconds.toFixed(1)} s, slowest recovery ${slowest} ms`,
);
if (failed.length > 0) {
  console.log(`failed seeds: ${failed.join(" ")}`);
  process.exitCode = 1;
}
