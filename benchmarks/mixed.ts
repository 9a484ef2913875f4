/**
 * A bulk stream beside small UDP, as when somebody talks while a backup runs. Delays are one-way: both ends read the same
 * clock, which the namespaces of one machine share.
 */
import type { Background } from "../tools/lab/shell.ts";
import { startBulk } from "./bulk.ts";
import { briefly, type Entrant, type Lane, lanes, takeTurns } from "./field.ts";
import { program } from "./programs.ts";
import { rows } from "./rows.ts";
import { ETHERNET } from "./site.ts";
import { noise, percentile, summarize } from "./stats.ts";
import type { Bench, Suite, Table } from "./suite.ts";

const PORT = 7003;
const INTERVAL_MICROS = 1000;
const SIZE = 160;
const RUN_UP_SECONDS = 0.4;

/** What `udp-probe receive` says of a run. */
export interface ProbeRun {
  readonly count: number;
  readonly received: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly longestGapMicros: number;
  /** In the order of arrival. */
  readonly packets: readonly (readonly [number: number, sentMicros: number, delayMicros: number])[];
}

const receivers = new WeakMap<Entrant, Promise<Background>>();

/** Sends `count` small datagrams at a steady pace through a lane; what the receiver saw. Also what handovers are measured with. */
export async function probe(lane: Lane, count: number, intervalMicros = INTERVAL_MICROS): Promise<ProbeRun> {
  const { entrant, target } = lane;
  const begun =
    receivers.get(entrant) ??
    (async () => {
      const tool = [await program("udp-probe"), "receive", `${PORT}`];
      const process = entrant.site.server.namespace.spawn(tool);
      await process.line((line) => line === "listening");
      process.out.length = 0;
      return process;
    })();
  receivers.set(entrant, begun);
  const receiver = await begun;
  const seen = receiver.out.length;
  const send = [await program("udp-probe"), "send", target.address, `${PORT}`];
  await entrant.site.client.namespace.run([...send, `${count}`, `${intervalMicros}`, `${SIZE}`], {
    timeoutMillis: (count * intervalMicros) / 1000 + 20_000,
  });
  const line = await receiver.until(
    () => receiver.out[seen],
    10_000,
    () => `waiting for what arrived of ${lane.name}`,
  );
  return JSON.parse(line) as ProbeRun;
}

interface Sample {
  readonly delays: readonly number[];
  readonly lost: number;
  readonly gigabitsPerSecond: number;
}

async function measure(bench: Bench, lane: Lane): Promise<Sample> {
  const { seconds } = bench.options;
  const stream = await startBulk(lane, seconds + 2 * RUN_UP_SECONDS, 1);
  await new Promise((resolve) => setTimeout(resolve, RUN_UP_SECONDS * 1000));
  const [run, bulk] = await Promise.all([
    probe(lane, Math.round((seconds * 1e6) / INTERVAL_MICROS)),
    stream.ended,
  ]);
  return {
    delays: run.packets.map(([, , delay]) => delay / 1000),
    lost: 1 - run.received / run.count,
    gigabitsPerSecond: (bulk.bytes * 8) / 1e9 / bulk.seconds,
  };
}

export async function mixedTable(bench: Bench): Promise<Table> {
  const able = bench.contestants.filter((contestant) => contestant.carries === "packets");
  const rounds = await takeTurns(
    bench,
    await lanes(bench, able, ETHERNET),
    (lane) => measure(bench, lane),
    ({ delays, gigabitsPerSecond }) =>
      `p50 ${percentile(delays, 50).toFixed(2)} ms, p99 ${percentile(delays, 99).toFixed(2)} ms beside ${gigabitsPerSecond.toFixed(2)} Gbit/s`,
  );
  const found = rows(
    rounds,
    (sample) => percentile(sample.delays, 99),
    (_, samples) => ({
      distribution: samples.flatMap((sample) => sample.delays),
      extra: {
        "p50, ms": summarize(samples.map((sample) => percentile(sample.delays, 50))).median,
        "lost, %": summarize(samples.map((sample) => sample.lost * 100)).median,
        "stream, Gbit/s": summarize(samples.map((sample) => sample.gigabitsPerSecond)).median,
      },
    }),
  );
  return {
    suite: "mixed",
    title: "Small UDP, 1000 a second, beside a TCP stream in the same tunnel: one-way delay, 99th percentile",
    unit: "ms, p99",
    better: "lower",
    rows: found,
    notes: ["both ends read one clock, so delays are one-way", ...noise(found, rounds.steals)],
  };
}

export const mixed: Suite = {
  name: "mixed",
  what: "delay of small UDP beside a stream, in ms",
  run: async (bench) => [await mixedTable(briefly(bench))],
};
