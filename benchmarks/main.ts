/**
 * `make bench [SUITE=...] [PEERS=...] [ROUNDS=...] [SECONDS=...]`: measures all contestants in one run on the same machine,
 * in turns, so that its moods hit all of them. Writes benchmarks/results/*.json and *.html.
 */
import { join, relative } from "node:path";
import { Lab, unavailable } from "../tools/lab/lab.ts";
import { CONTESTANTS, choose } from "./contestants/all.ts";
import { handover } from "./handover.ts";
import { handshakes } from "./handshakes.ts";
import { latency } from "./latency.ts";
import { busyText, isBusy, load, machine } from "./machine.ts";
import { memory } from "./memory.ts";
import { micro } from "./micro.ts";
import { mixed } from "./mixed.ts";
import { packets } from "./packets.ts";
import { tableText, writeReport } from "./report.ts";
import { scale } from "./scale.ts";
import { startup } from "./startup.ts";
import type { Bench, Options, Suite, Table } from "./suite.ts";
import { throughput } from "./throughput.ts";

/** `startup` comes first: tunnels of other suites stay until the end, and wake up now and then. */
const SUITES: readonly Suite[] = [
  ...[startup, throughput, packets, latency, mixed],
  ...[handover, handshakes, memory, scale, micro],
];
/** Not part of SUITE=all: it says where time goes, not how we compare. */
const APART: readonly Suite[] = [micro];
const RESULTS = join(import.meta.dirname, "results");

/** A wrong setting of the user's. */
function wrong(message: string): never {
  console.error(message);
  process.exit(2);
}

function setting(name: string, fallback: number): number {
  const text = process.env[name];
  const value = text === undefined || text === "" ? fallback : Number(text);
  if (!(value > 0)) wrong(`${name}=${text} is not a positive number`);
  return value;
}

const wanted = process.env["SUITE"] || "all";
const names = wanted.split(/[\s,]+/);
const everything = wanted === "all";
const chosen = SUITES.filter((suite) => (everything ? !APART.includes(suite) : names.includes(suite.name)));
if (chosen.length < (everything ? 1 : names.length)) {
  wrong(`There is no suite "${wanted}"; there are ${SUITES.map((suite) => suite.name).join(", ")}, and all.`);
}
const reason = unavailable();
if (reason !== undefined) {
  console.error(`The benchmarks make network namespaces and a TUN device: this ${reason}.`);
  process.exit(1);
}
const options: Options = {
  rounds: setting("ROUNDS", everything ? 3 : 5),
  seconds: setting("SECONDS", everything ? 1 : 2),
  thorough: !everything,
};
const peers = process.env["PEERS"] ?? "";
let choice: ReturnType<typeof choose>;
try {
  choice = choose(peers, CONTESTANTS);
} catch (error) {
  wrong(error instanceof Error ? error.message : String(error));
}

const begun = performance.now();
const before = load();
const lab = Lab.create();
try {
  const skipped: string[] = [...choice.skipped];
  const tell = (line: string): void => {
    if (line.startsWith("skipped")) skipped.push(line);
    console.log(`  ${line}`);
  };
  for (const line of choice.skipped) console.log(line);
  if (isBusy(before)) console.log(busyText(before));
  const bench: Bench = { lab, options, contestants: choice.chosen, tell };
  const tables: Table[] = [];
  for (const suite of chosen) {
    console.log(`${suite.name}: ${suite.what}`);
    const since = performance.now();
    tables.push(...(await suite.run(bench)));
    console.log(`  ${((performance.now() - since) / 1000).toFixed(0)} s`);
  }
  for (const table of tables) console.log(`\n${tableText(table)}`);
  const versions: Record<string, string> = {};
  for (const contestant of choice.chosen) versions[contestant.name] = await contestant.version();
  const report = {
    ...{ when: new Date().toISOString(), machine: machine(), options, versions },
    ...{ skipped: [...new Set(skipped)], load: { before, after: load() }, tables },
  };
  const files = writeReport(RESULTS, everything ? "bench" : names.join("-"), report);
  const seconds = ((performance.now() - begun) / 1000).toFixed(0);
  console.log(`\n${report.machine.cpu}, ${report.machine.cores} cores, ${seconds} s`);
  console.log(`written: ${files.map((file) => relative(process.cwd(), file)).join(" ")}`);
} finally {
  await lab.close();
}
