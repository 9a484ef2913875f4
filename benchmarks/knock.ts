/** What strangers who knock cost the stream of somebody who has an association. */
import { processSeconds, threadSeconds } from "./machine.ts";
import { echoes, Lane, pause, type Scene } from "./scale-scene.ts";
import { noise, pairedRatio, summarize } from "./stats.ts";
import type { Bench, Row, Table } from "./suite.ts";

/** Exchanges that are attempted in a second. */
const KNOCKS = 2_000;
/** Echoes are counted from the first knock on; the stream follows. */
const ECHO_SECONDS = 1;
const LEAD_MILLIS = 300;
const TURNS = { brief: 3, thorough: 12 };

const CASES = ["nobody", "filtered", "knocks"] as const;
type Case = (typeof CASES)[number];
const NAMES: Readonly<Record<Case, string>> = {
  nobody: "nobody knocks",
  filtered: "strangers knock at a packet filter",
  knocks: "strangers knock",
};

/** What programs/knock.c prints. */
interface Knocks {
  readonly seconds: number;
  readonly i1: number;
  readonly r1: number;
  readonly i2: number;
  readonly solved: number;
  /** Difficulty of the last puzzle. */
  readonly k: number;
}

interface Sample {
  readonly gigabits: number;
  readonly lost: number;
  /** Of a core: the daemon's main thread, all of the daemon, the program that knocks. */
  readonly main: number;
  readonly daemon: number;
  readonly knocker: number;
  readonly knocks: Knocks | undefined;
}

async function measure(scene: Scene, lane: Lane, one: Case, seconds: number): Promise<Sample> {
  const length = seconds + ECHO_SECONDS + 1;
  const knocker = one === "nobody" ? undefined : await scene.knock(KNOCKS, length, one === "filtered");
  if (knocker !== undefined) await pause(LEAD_MILLIS);
  const { lost } = await echoes(scene, ECHO_SECONDS);
  const { pid } = scene.many;
  const spent = (): number[] => [
    threadSeconds(pid, pid),
    processSeconds(pid),
    knocker === undefined ? 0 : processSeconds(knocker.child.pid as number),
  ];
  const [before, begun] = [spent(), performance.now()];
  const gigabits = await lane.measure(seconds);
  const passed = (performance.now() - begun) / 1000;
  const [main = 0, daemon = 0, own = 0] = spent().map((value, i) => (value - (before[i] ?? 0)) / passed);
  const line = await knocker?.line((text) => text.startsWith("{"), 20_000);
  const knocks = line === undefined ? undefined : (JSON.parse(line) as Knocks);
  return { gigabits, lost, main, daemon, knocker: own, knocks };
}

/** All of them, each round another one first. */
const inTurn = (round: number): readonly Case[] =>
  CASES.map((_, i) => CASES[(i + round) % CASES.length] as Case);

const attempts = (knocks: Knocks | undefined): number => (knocks?.i1 ?? 0) / (knocks?.seconds ?? 1);

export async function knocking(bench: Bench, scene: Scene): Promise<Table> {
  const { seconds, thorough } = bench.options;
  const lane = await Lane.again(scene, scene.many);
  // Once without being counted: code is compiled.
  await measure(scene, lane, "knocks", 1);
  const samples: Record<Case, Sample[]> = { nobody: [], filtered: [], knocks: [] };
  const turns = thorough ? TURNS.thorough : TURNS.brief;
  for (let round = 1; round <= turns; round++) {
    for (const one of inTurn(round)) samples[one].push(await measure(scene, lane, one, seconds));
    const knocks = samples.knocks.at(-1)?.knocks;
    const last = CASES.map((one) => samples[one].at(-1)?.gigabits.toFixed(2));
    bench.tell(
      `round ${round}  ${last.join(" / ")} Gbit/s (${CASES.join(", ")}: ${attempts(knocks).toFixed(0)}/s attempted, ${knocks?.r1} answered, ${knocks?.solved} solved, k ${knocks?.k})`,
    );
  }
  const of = (one: Case, value: (sample: Sample) => number): number[] => samples[one].map(value);
  const median = (one: Case, value: (sample: Sample) => number): number => summarize(of(one, value)).median;
  const rate = ({ gigabits }: Sample): number => gigabits;
  const loss = (one: Case, than: Case): number =>
    Number(((1 - pairedRatio(of(one, rate), of(than, rate))) * 100).toFixed(1));
  const row = (one: Case, what: string, extra: Row["extra"]): Row => ({
    contestant: NAMES[one],
    what,
    summary: summarize(of(one, rate)),
    ratios: Object.fromEntries(
      CASES.map((other) => [NAMES[other], pairedRatio(of(one, rate), of(other, rate))]),
    ),
    extra: {
      ...extra,
      "echoes lost, %": median(one, ({ lost }) => lost * 100),
      "main thread, cores": median(one, ({ main }) => main),
      "daemon, cores": median(one, ({ daemon }) => daemon),
      "the knocker, cores": median(one, ({ knocker }) => knocker),
    },
  });
  const rows = [
    row("nobody", "one stream beside all other associations", {}),
    row("filtered", "the same while as many packets are made, sent and dropped by the host's packet filter", {
      "less than with nobody, %": loss("filtered", "nobody"),
    }),
    row("knocks", `the same while ${KNOCKS} exchanges a second are attempted`, {
      "less than with nobody, %": loss("knocks", "nobody"),
      "less than at the filter, %": loss("knocks", "filtered"),
      "attempted, 1/s": Math.round(median("knocks", ({ knocks }) => attempts(knocks))),
    }),
  ];
  return {
    suite: "scale",
    id: "knocks",
    title: "One TCP stream while strangers knock",
    unit: "Gbit/s",
    rows,
    notes: [
      "the program that knocks runs on the same processors, so that its time is lost to the stream, too: what it loses at the filter is not hipd's",
      ...noise(rows, []),
    ],
  };
}
