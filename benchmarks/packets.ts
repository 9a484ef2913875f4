/** Small UDP datagrams: the highest rate at which less than 1 % is lost. */
import type { Background } from "../tools/lab/shell.ts";
import { briefly, type Entrant, type Lane, lanes, takeTurns } from "./field.ts";
import { program } from "./programs.ts";
import { rows } from "./rows.ts";
import { ETHERNET, sentBytes } from "./site.ts";
import { noise, summarize } from "./stats.ts";
import type { Bench, Row, Suite, Table } from "./suite.ts";

interface Variant {
  readonly flows: number;
  /** Datagrams given to the kernel at once. */
  readonly batch: number;
  readonly brief: boolean;
}

const VARIANTS: readonly Variant[] = [
  { flows: 1, batch: 1, brief: true },
  { flows: 16, batch: 1, brief: true },
  { flows: 1, batch: 64, brief: false },
  { flows: 16, batch: 64, brief: false },
];

const PORT = 7002;
const SIZE = 64;

interface Sample {
  readonly rate: number;
  readonly loss: number;
  /** What was offered and what arrived, at every rate that was tried: for the plot. */
  readonly tried: readonly (readonly [offered: number, received: number])[];
}

const sinks = new WeakMap<Entrant, Promise<Background>>();

async function sink(entrant: Entrant): Promise<Background> {
  const begun =
    sinks.get(entrant) ??
    (async () => {
      const process = entrant.site.server.namespace.spawn([await program("udp-load"), "sink", `${PORT}`]);
      await process.line((line) => line === "listening");
      return process;
    })();
  sinks.set(entrant, begun);
  return begun;
}

async function measure(lane: Lane, flows: number, batch: number): Promise<Sample> {
  const { site, running } = lane.entrant;
  await sink(lane.entrant);
  const before = await sentBytes(site.client, running.device);
  const text = await site.client.namespace.run([
    ...[await program("udp-load"), "search", lane.target.address, `${PORT}`],
    ...[`${flows}`, `${SIZE}`, `${batch}`],
  ]);
  const lines = text.trim().split("\n");
  const steps = lines.slice(0, -1).map((line) => JSON.parse(line) as Step);
  const { rate, loss } = JSON.parse(lines.at(-1) ?? "{}") as { rate: number; loss: number };
  const received = steps.reduce((sum, step) => sum + step.received, 0);
  const passed = (await sentBytes(site.client, running.device)) - before;
  if (passed < received * SIZE) {
    throw new Error(
      `${lane.name}: ${received} datagrams arrived, but only ${passed} bytes left through ${running.device}`,
    );
  }
  return {
    rate,
    loss,
    tried: steps.map((step) => [step.sent / step.seconds, step.received / step.seconds] as const),
  };
}

interface Step {
  readonly sent: number;
  readonly received: number;
  readonly seconds: number;
}

export async function packetsTable(bench: Bench, flows: number, batch: number): Promise<Table> {
  const able = bench.contestants.filter((contestant) => contestant.carries === "packets");
  const all = await lanes(bench, able, ETHERNET);
  const rounds = await takeTurns(
    bench,
    all,
    (lane) => measure(lane, flows, batch),
    (sample) => `${(sample.rate / 1000).toFixed(1)} k/s, ${(sample.loss * 100).toFixed(2)} % lost`,
  );
  const found = rows(
    rounds,
    (sample) => sample.rate / 1000,
    (_, samples) => ({
      extra: {
        "lost, %": summarize(samples.map((sample) => sample.loss * 100)).median,
        "most that arrived at any rate, k/s": summarize(
          samples.map((sample) => Math.max(...sample.tried.map(([, received]) => received)) / 1000),
        ).median,
      },
    }),
  );
  const how = batch === 1 ? "sent one by one" : `sent ${batch} at once`;
  return {
    suite: "packets",
    id: `${flows}-${batch}`,
    title: `UDP of ${SIZE} bytes, ${flows === 1 ? "one flow" : `${flows} flows`}, ${how}: highest rate with less than 1 % lost`,
    unit: "1000/s",
    rows: found,
    notes: [...unheld(found), ...noise(found, rounds.steals)],
  };
}

/** A machine that is too busy holds no rate at all. */
function unheld(found: readonly Row[]): string[] {
  const names = found.filter((row) => (row.extra["lost, %"] ?? 0) >= 1).map((row) => row.contestant);
  return names.length === 0 ? [] : [`noisy: ${names.join(", ")} held no rate that was tried without loss`];
}

async function run(bench: Bench): Promise<readonly Table[]> {
  const tables: Table[] = [];
  for (const { flows, batch, brief } of VARIANTS) {
    if (!brief && !bench.options.thorough) continue;
    bench.tell(`${flows} ${flows === 1 ? "flow" : "flows"}, ${batch} at once`);
    tables.push(await packetsTable(briefly(bench), flows, batch));
  }
  return tables;
}

export const packets: Suite = { name: "packets", what: "UDP of 64 bytes, in 1000/s", run };
