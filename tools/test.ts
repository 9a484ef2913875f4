/**
 * Runs the suites one after another and counts: `node tools/test.ts [SUITE [FILTER]]`.
 * The last line is `N passed, N failed, N skipped`; the exit status is 0 when nothing failed.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checks, runChecks } from "./check.ts";
import { runFuzz, runNative } from "./testing/native.ts";
import { runSimulator } from "./testing/simulator.ts";
import { type Outcome, RESULTS, runVitest, type Skip, type Suite } from "./testing/suite.ts";

const [only, filter] = process.argv.slice(2);
const filters = filter === undefined ? [] : [filter];

const SUITES: readonly Suite[] = [
  { name: "check", what: "format, lint, types, layers, sizes", run: () => runChecks(checks()) },
  {
    name: "unit",
    what: "vectors, units, properties, scenarios",
    run: () => runVitest("unit", filters),
  },
  { name: "native", what: "the data plane's own tests", run: () => runNative("native") },
  { name: "asan", what: "the same under ASan and UBSan", run: () => runNative("asan") },
  { name: "tsan", what: "the same under TSan", run: () => runNative("tsan") },
  { name: "fuzz", what: "corpora, and 5 s of fuzzing for each target", run: () => runFuzz(5) },
  { name: "sim", what: "1000 simulated networks", run: () => runSimulator(1000) },
  {
    name: "netns",
    what: "real daemons in network namespaces",
    run: () => runVitest("netns", ["--config", "test/netns/vitest.config.ts", ...filters]),
  },
  {
    name: "systemd",
    what: "the package on two booted machines",
    run: () => runVitest("systemd", ["--config", "test/systemd/vitest.config.ts", ...filters], 8),
  },
];

const chosen = SUITES.filter((suite) => only === undefined || suite.name === only);
if (chosen.length === 0) {
  console.error(`There is no suite "${only}"; there are ${SUITES.map((suite) => suite.name).join(", ")}.`);
  process.exit(2);
}

let passed = 0;
let failed = 0;
let skipped = 0;
const begun = performance.now();
for (const suite of chosen) {
  const start = performance.now();
  const outcome = await run(suite);
  const missing = outcome.skipped.reduce((sum, skip) => sum + skip.count, 0);
  passed += outcome.passed;
  failed += outcome.failed.length;
  skipped += missing;
  const mark = outcome.failed.length > 0 ? "FAIL" : outcome.passed > 0 ? "ok" : "skip";
  const counts = `${outcome.passed} passed, ${outcome.failed.length} failed, ${missing} skipped`;
  console.log(
    `${mark.padEnd(5)}${suite.name.padEnd(8)}${seconds(start).padStart(8)}  ${counts}  (${suite.what})`,
  );
  for (const note of outcome.notes ?? []) console.log(`       ${note}`);
  showSkips(outcome.skipped);
  for (const name of outcome.failed) console.log(`       failed: ${name}`);
  if (outcome.failed.length > 0 && outcome.log !== undefined) showLog(outcome.log);
}
console.log(`all suites: ${seconds(begun)}`);
const summary = `${passed} passed, ${failed} failed, ${skipped} skipped`;
mkdirSync(RESULTS, { recursive: true });
writeFileSync(join(RESULTS, "summary"), `${summary}\n`);
console.log(summary);
process.exitCode = failed === 0 ? 0 : 1;

async function run(suite: Suite): Promise<Outcome> {
  try {
    return await suite.run();
  } catch (error) {
    return {
      passed: 0,
      failed: [`${suite.name}: ${error instanceof Error ? error.stack : error}`],
      skipped: [],
    };
  }
}

/** Names under their common reason. */
function showSkips(skips: readonly Skip[]): void {
  for (const why of new Set(skips.map((skip) => skip.why))) {
    console.log(`       skipped, ${why}:`);
    for (const { name, count, why: own } of skips) {
      if (own === why) console.log(`         ${name}${count > 1 ? ` (${count} tests)` : ""}`);
    }
  }
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

function showLog(path: string): void {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  console.log(`       --- the end of ${path} ---`);
  for (const line of lines.slice(-80)) console.log(`       ${line}`);
}
