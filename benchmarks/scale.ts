/**
 * Many associations on one daemon: made by real exchanges over UDP from many addresses and ports, then what they cost in
 * memory and processor time, what they cost one association's throughput, and what strangers who knock cost it.
 */
import type { Progress } from "./crowd.ts";
import { knocking } from "./knock.ts";
import { processSeconds, residentMegabytes } from "./machine.ts";
import { echoes, Lane, pause, Scene } from "./scale-scene.ts";
import { noise, pairedRatio, summarize } from "./stats.ts";
import type { Bench, Row, Suite, Table } from "./suite.ts";

/** Exchanges that are under way at once. */
const PARALLEL = 32;
/** Twice the daemon's own interval of looking whether memory can be given back. */
const SETTLE_MILLIS = 21_000;
const IDLE_MILLIS = 10_000;
/** Turns of each of the two daemons: their difference is small, and one second of a stream differs from the next. */
const TURNS = { brief: 5, thorough: 24 };

function single(contestant: string, what: string, value: number, extra: Row["extra"] = {}): Row {
  return { contestant, what, summary: summarize([value]), ratios: {}, extra };
}

/** Per cent of a core that a process uses while nothing is asked of it. */
async function idleShare(pid: number, millis: number): Promise<number> {
  const spent = processSeconds(pid);
  await pause(millis);
  return Number((((processSeconds(pid) - spent) / millis) * 1000 * 100).toFixed(2));
}

async function connect(scene: Scene, some: number, settleMillis: number): Promise<Progress> {
  const made = await scene.tell<Progress>(`connect ${some} ${PARALLEL} 300`, 320_000);
  if (made.established < some) throw new Error(`only ${made.established} of ${some} associations came about`);
  await pause(settleMillis);
  return made;
}

const IDLE = "idle, % of a core";

/**
 * A thousand: too few to tell their bytes from what one collection more or less leaves. They come to rest while streams are
 * measured.
 */
async function brief(bench: Bench, scene: Scene, count: number): Promise<readonly Table[]> {
  const { pid } = scene.many;
  const made = await connect(scene, count, 0);
  const begun = performance.now();
  const stream = await streams(bench, scene, count);
  await pause(Math.max(0, SETTLE_MILLIS - (performance.now() - begun)));
  const idle = await idleShare(pid, IDLE_MILLIS);
  bench.tell(`${count} associations in ${made.seconds.toFixed(1)} s, ${idle} % of a core when idle`);
  const rows = [
    single("all", `resident, ${count} associations`, residentMegabytes(pid), {
      "exchanges/s": Math.round(count / made.seconds),
      [IDLE]: idle,
    }),
  ];
  return [table(count, rows, ["bytes of one association: SUITE=scale"]), stream];
}

async function thorough(bench: Bench, scene: Scene, count: number): Promise<readonly Table[]> {
  const { pid } = scene.many;
  await pause(SETTLE_MILLIS);
  const configured = residentMegabytes(pid);
  // Compiled code and worker threads come with the first exchanges, however many follow.
  await connect(scene, count / 10, SETTLE_MILLIS);
  const before = residentMegabytes(pid);
  const idleBefore = await idleShare(pid, 2 * IDLE_MILLIS);
  bench.tell(`${count / 10} associations: ${idleBefore} % of a core when idle`);
  const made = await connect(scene, count - count / 10, SETTLE_MILLIS);
  const after = residentMegabytes(pid);
  const idle = await idleShare(pid, IDLE_MILLIS);
  const each = ((after - before) * 1e6) / made.established;
  // A daemon that has compiled the same code, but knows nobody.
  const whole = ((after - residentMegabytes(scene.few.pid)) * 1e6) / count;
  bench.tell(
    `${made.established} associations in ${made.seconds.toFixed(1)} s, ${idle} % of a core when idle`,
  );
  bench.tell(`${each.toFixed(0)} bytes each, ${whole.toFixed(0)} with its configured peer`);
  const costs = table(
    count,
    [
      single("few", "resident, 2 associations", residentMegabytes(scene.few.pid)),
      single("peers", `resident, ${count} peers configured`, configured),
      single("first", `resident, ${count / 10} associations, settled`, before, {
        [IDLE]: idleBefore,
      }),
      single("all", `resident, ${count} associations, settled`, after, {
        "bytes for each": Math.round(each),
        "with its peer": Math.round(whole),
        "exchanges/s": Math.round(made.established / made.seconds),
        [IDLE]: idle,
      }),
    ],
    [],
  );
  return [costs, await streams(bench, scene, count)];
}

function table(count: number, rows: readonly Row[], notes: readonly string[]): Table {
  const title = `${count} associations on one daemon`;
  return { suite: "scale", id: "costs", title, unit: "MB", better: "lower", rows, notes };
}

/** Both daemons have a turn in each round, first the one, then the other: what the machine does hits both. */
async function streams(bench: Bench, scene: Scene, count: number): Promise<Table> {
  const lanes = { few: await Lane.open(scene, scene.few), many: await Lane.open(scene, scene.many) };
  const names = { few: "2 associations", many: `${count} associations` };
  const samples: Record<keyof typeof lanes, number[]> = { few: [], many: [] };
  const order = ["few", "many"] as const;
  for (const name of order) await lanes[name].measure(1);
  const turns = bench.options.thorough ? TURNS.thorough : TURNS.brief;
  for (let round = 1; round <= turns; round++) {
    for (const name of round % 2 === 1 ? order : order.toReversed())
      samples[name].push(await lanes[name].measure(1));
    const last = order.map((name) => samples[name].at(-1)?.toFixed(2));
    bench.tell(`round ${round}  ${last.join(" / ")} Gbit/s (few, many)`);
  }
  const lost = (await echoes(scene, 2)).lost;
  const row = (key: keyof typeof names, what: string, extra: Row["extra"]): Row => ({
    contestant: names[key],
    what,
    summary: summarize(samples[key]),
    ratios: { [names.few]: pairedRatio(samples[key], samples.few) },
    extra: { "/ few": pairedRatio(samples[key], samples.few), ...extra },
  });
  const rows = [
    row("few", "a daemon with this association and one more", {}),
    row("many", "the same beside all others", { "echoes lost, %": Number((lost * 100).toFixed(2)) }),
  ];
  return {
    suite: "scale",
    id: "streams",
    title: "One TCP stream through one association of a daemon with many",
    unit: "Gbit/s",
    rows,
    notes: [
      `medians of ${turns} turns of a second; the ratio is the median of those of neighbours`,
      ...noise(rows, []),
    ],
  };
}

async function run(bench: Bench): Promise<readonly Table[]> {
  const count = bench.options.thorough ? 10_000 : 1_000;
  const scene = await Scene.create(bench);
  await scene.gather(count);
  await scene.start();
  const tables = await (bench.options.thorough ? thorough : brief)(bench, scene, count);
  return [...tables, await knocking(bench, scene)];
}

export const scale: Suite = {
  name: "scale",
  what: "thousands of associations on one daemon, and strangers who knock",
  run,
};
