/** TCP: one stream and four, over several paths; the price in processor time beside it. */
import { findProgram } from "../tools/lab/shell.ts";
import { type BulkSample, measureBulk } from "./bulk.ts";
import { lanes, takeTurns } from "./field.ts";
import { middle, rows } from "./rows.ts";
import { ETHERNET, type PathSpec, pathName, pathText } from "./site.ts";
import { noise, summarize } from "./stats.ts";
import type { Bench, Suite, Table } from "./suite.ts";

interface Variant {
  readonly path: PathSpec;
  readonly streams: number;
  /** Part of a run of all suites. */
  readonly brief: boolean;
}

const VARIANTS: readonly Variant[] = [
  { path: ETHERNET, streams: 1, brief: true },
  { path: ETHERNET, streams: 4, brief: true },
  { path: { ...ETHERNET, family: "ipv6" }, streams: 1, brief: false },
  { path: { ...ETHERNET, family: "ipv6" }, streams: 4, brief: false },
  { path: { ...ETHERNET, mtu: 8900 }, streams: 1, brief: true },
  { path: { ...ETHERNET, offloads: false }, streams: 1, brief: true },
];

async function run(bench: Bench): Promise<readonly Table[]> {
  const tables: Table[] = [];
  for (const { path, streams, brief } of VARIANTS) {
    if (!brief && !bench.options.thorough) continue;
    if (!path.offloads && findProgram("ethtool") === undefined) {
      bench.tell(`skipped ${pathText(path)}: ethtool is not installed`);
      continue;
    }
    bench.tell(`${pathText(path)}, ${streams} ${streams === 1 ? "stream" : "streams"}`);
    tables.push(await throughputTable(bench, path, streams));
  }
  return tables;
}

export async function throughputTable(bench: Bench, path: PathSpec, streams: number): Promise<Table> {
  const all = await lanes(bench, bench.contestants, path);
  const rounds = await takeTurns(
    bench,
    all,
    (lane) => measureBulk(lane, bench.options.seconds, streams),
    (sample) => `${sample.gigabitsPerSecond.toFixed(2)} Gbit/s`,
  );
  const rate = (sample: BulkSample): number => sample.gigabitsPerSecond;
  const median = (samples: readonly BulkSample[], of: (sample: BulkSample) => number): number =>
    summarize(samples.map(of)).median;
  const found = rows(rounds, rate, (lane, samples) => ({
    // The last tenth is not a whole one.
    series: (middle(samples, rate)?.tenths ?? []).slice(0, -1).map((value, i) => [i / 10, value] as const),
    extra: {
      "CPU s/GB, machine": median(samples, (sample) => sample.machineCpu),
      ...(lane.entrant.running.pids.length === 0
        ? {}
        : {
            "CPU s/GB, tunnel": median(samples, (sample) => sample.tunnelCpu),
            "memory, MB": median(samples, (sample) => sample.residentMegabytes),
          }),
    },
  }));
  return {
    suite: "throughput",
    id: `${pathName(path)}-${streams}`,
    title: `TCP, ${streams === 1 ? "one stream" : `${streams} streams`}, ${pathText(path)}`,
    unit: "Gbit/s",
    rows: found,
    notes: noise(found, rounds.steals),
  };
}

export const throughput: Suite = { name: "throughput", what: "TCP, one stream and four, in Gbit/s", run };
