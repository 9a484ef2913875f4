/**
 * What strangers who knock cost the stream of somebody who has an association. The program that knocks runs on the same
 * processors, so that three cases are told apart: nobody knocks; it does all its work, but sends what it makes where nobody
 * answers; it knocks at the daemon. The difference of the last two is the daemon's.
 */
import type { Flood } from "./flood.ts";
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

const CASES = ["nobody", "elsewhere", "knocks"] as const;
type Case = (typeof CASES)[number];
const NAMES: Readonly<Record<Case, string>> = {
  nobody: "nobody knocks",
  elsewhere: "they knock elsewhere",
  knocks: "strangers knock",
};

interface Sample {
  readonly gigabits: number;
  readonly lost: number;
  /** Of a core: the daemon's main thread, all of the daemon, the program that knocks. */
  readonly main: number;
  readonly daemon: number;
  readonly knocker: number;
  readonly flood: Flood | undefined;
}

async function measure(scene: Scene, lane: Lane, one: Case, seconds: number): Promise<Sample> {
  const length = seconds + ECHO_SECONDS + 1;
  const command = one === "knocks" ? "flood" : "aside";
  const flooding =
    one === "nobody" ? undefined : scene.tell<Flood>(`${command} ${KNOCKS} ${length} many`, 60_000);
  if (flooding !== undefined) await pause(LEAD_MILLIS);
  const { lost } = await echoes(scene, ECHO_SECONDS);
  const { pid } = scene.many;
  const spent = (): number[] => [
    threadSeconds(pid, pid),
    processSeconds(pid),
    processSeconds(scene.crowdPid),
  ];
  const [before, begun] = [spent(), performance.now()];
  const gigabits = await lane.measure(seconds);
  const passed = (performance.now() - begun) / 1000;
  const [main = 0, daemon = 0, knocker = 0] = spent().map((value, i) => (value - (before[i] ?? 0)) / passed);
  return { gigabits, lost, main, daemon, knocker, flood: await flooding };
}

export async function knocking(bench: Bench, scene: Scene): Promise<Table> {
  const { seconds, thorough } = bench.options;
  const lane = await Lane.again(scene, scene.many);
  // Once without being counted: code is compiled, and the work aside is as hard as the daemon's puzzles are.
  await measure(scene, lane, "knocks", 1);
  const samples: Record<Case, Sample[]> = { nobody: [], elsewhere: [], knocks: [] };
  const turns = thorough ? TURNS.thorough : TURNS.brief;
  for (let round = 1; round <= turns; round++) {
    for (const one of round % 2 === 1 ? CASES : CASES.toReversed())
      samples[one].push(await measure(scene, lane, one, seconds));
    const flood = samples.knocks.at(-1)?.flood;
    const last = CASES.map((one) => samples[one].at(-1)?.gigabits.toFixed(2));
    const attempted = ((flood?.i1 ?? 0) / (flood?.seconds ?? 1)).toFixed(0);
    bench.tell(
      `round ${round}  ${last.join(" / ")} Gbit/s (${CASES.join(", ")}: ${attempted}/s attempted, ${flood?.r1} answered, ${flood?.solved} solved, k ${flood?.k})`,
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
    row(
      "elsewhere",
      `the same while the program that knocks does its work for ${KNOCKS} exchanges a second, for nobody`,
      {
        "less than with nobody, %": loss("elsewhere", "nobody"),
      },
    ),
    row("knocks", `the same while ${KNOCKS} exchanges a second are attempted`, {
      "less than with nobody, %": loss("knocks", "nobody"),
      "less by the daemon, %": loss("knocks", "elsewhere"),
      "attempted, 1/s": Math.round(median("knocks", ({ flood }) => (flood?.i1 ?? 0) / (flood?.seconds ?? 1))),
    }),
  ];
  return {
    suite: "scale",
    id: "knocks",
    title: "One TCP stream while strangers knock",
    unit: "Gbit/s",
    rows,
    notes: [
      "the program that knocks runs on the same processors: what it costs by itself is the row in the middle",
      ...noise(rows, []),
    ],
  };
}
