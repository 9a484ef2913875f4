/**
 * A machine changes its address while it sends a datagram every millisecond: how long nothing arrives, and how many are lost.
 * The old address is gone before the new one is there, and hipd has to notice by itself.
 */
import { briefly, type Entrant, type Lane, lanes, takeTurns } from "./field.ts";
import { type ProbeRun, probe } from "./mixed.ts";
import { middle, rows } from "./rows.ts";
import { ETHERNET, UNDERLAY } from "./site.ts";
import { noise, summarize } from "./stats.ts";
import type { Bench, Suite, Table } from "./suite.ts";

const COUNT = 3000;
const INTERVAL_MICROS = 1000;
/** The client's addresses, between which it moves to and fro. */
const ADDRESSES = ["192.0.2.1", "192.0.2.9"] as const;
const MOVE_AFTER_MILLIS = 1000;

interface Sample {
  readonly gapMillis: number;
  readonly lost: number;
  /** Seconds since the first datagram, milliseconds on the way. */
  readonly delays: readonly (readonly [number, number])[];
}

/** Where clients are that have moved: the index of their address. */
const places = new WeakMap<Entrant, number>();

async function measure(lane: Lane): Promise<Sample> {
  const { site, running } = lane.entrant;
  const place = places.get(lane.entrant) ?? 0;
  places.set(lane.entrant, 1 - place);
  const [old, next] = [ADDRESSES[place] as string, ADDRESSES[1 - place] as string];
  const probing = probe(lane, COUNT, INTERVAL_MICROS);
  probing.catch(() => {}); // is awaited below
  await new Promise((resolve) => setTimeout(resolve, MOVE_AFTER_MILLIS));
  await site.client.namespace.ip([
    `addr del ${old}/24 dev ${UNDERLAY}`,
    `addr add ${next}/24 dev ${UNDERLAY}`,
  ]);
  await running.move?.(site.client, next);
  const run = await probing;
  return {
    gapMillis: longestGap(run),
    lost: run.count - run.received,
    delays: run.packets.map(([, sent, delay]) => [sent / 1e6, delay / 1000] as const),
  };
}

/** Milliseconds without an arrival; up to the end of the run when nothing came any more. */
export function longestGap(run: ProbeRun): number {
  const last = Math.max(-1, ...run.packets.map(([number]) => number));
  const tail = ((run.count - 1 - last) * INTERVAL_MICROS) / 1000;
  return Math.max(run.longestGapMicros / 1000, tail);
}

async function run(bench: Bench): Promise<readonly Table[]> {
  const able = bench.contestants.filter(({ carries, name }) => carries === "packets" && name !== "bare");
  const all = (await lanes(briefly(bench), able, ETHERNET)).filter((lane) => {
    const moves = lane.entrant.running.move !== undefined;
    if (!moves) bench.tell(`skipped ${lane.name}: it cannot change its address`);
    return moves;
  });
  const gap = (sample: Sample): number => sample.gapMillis;
  const rounds = await takeTurns(
    bench,
    all,
    measure,
    ({ gapMillis, lost }) => `nothing for ${gapMillis.toFixed(1)} ms, ${lost} of ${COUNT} lost`,
  );
  const found = rows(rounds, gap, (_, samples) => ({
    series: middle(samples, gap)?.delays ?? [],
    extra: { "lost datagrams": summarize(samples.map((sample) => sample.lost)).median },
  }));
  return [
    {
      suite: "handover",
      title:
        "Another address in the middle of a stream of one datagram a millisecond: longest time without one",
      unit: "ms",
      better: "lower",
      rows: found,
      notes: noise(found, rounds.steals),
    },
  ];
}

export const handover: Suite = {
  name: "handover",
  what: "the gap when a machine changes its address, in ms",
  run,
};
