/**
 * What the pieces cost, on one thread: building and parsing each packet of a base exchange, the protocol engine with and
 * without its cryptography, and the packet path of native/bench.
 */
import { join } from "node:path";
import type { Instant } from "../src/core/types.ts";
import { dump } from "../src/wire/dump.ts";
import { build, parse } from "../src/wire/packet.ts";
import { run as runProgram } from "../tools/lab/shell.ts";
import { exchanges, strangers } from "./exchange.ts";
import { stealShare } from "./field.ts";
import { cpuTimes } from "./machine.ts";
import { noise, type Summary, summarize } from "./stats.ts";
import type { Bench, Row, Suite, Table } from "./suite.ts";

const ROOT = join(import.meta.dirname, "..");
const SLICE_SECONDS = 0.1;

/** CPU microseconds of one call. */
function cost(work: () => void, seconds: number): number {
  const begun = process.threadCpuUsage();
  const end = performance.now() + seconds * 1000;
  let count = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 16; i++) work();
    count += 16;
  }
  const { user, system } = process.threadCpuUsage(begun);
  return (user + system) / count;
}

function codecs(): readonly (readonly [name: string, work: () => void])[] {
  const works: (readonly [string, () => void])[] = [];
  for (const bytes of sampleExchange()) {
    const parsed = parse(bytes);
    if (!parsed.ok) throw new Error("a packet of our own does not parse");
    const packet = parsed.value;
    const name = `${dump(bytes).split(" ")[0]}, ${bytes.length} bytes`;
    works.push([`parse ${name}`, () => void parse(bytes)]);
    works.push([`build ${name}`, () => void build(packet)]);
  }
  return works;
}

/** I1, R1, I2 and R2 of one exchange. */
function sampleExchange(): readonly Uint8Array[] {
  const seen: Uint8Array[] = [];
  const { initiator, responder } = strangers();
  const exchange = exchanges(initiator, responder, 1_000 as Instant, 0.05, (bytes) => {
    if (seen.length < 4) seen.push(bytes.slice());
  });
  if (exchange.count === 0 || seen.length < 4) throw new Error("no exchange was completed");
  return seen;
}

async function inTypeScript(bench: Bench): Promise<Table> {
  const works = codecs();
  const samples = new Map<string, number[]>();
  const add = (name: string, value: number): void => {
    samples.set(name, [...(samples.get(name) ?? []), value]);
  };
  const { initiator, responder } = strangers();
  let now = exchanges(initiator, responder, 1_000 as Instant, 1).now;
  for (const [, work] of works) cost(work, SLICE_SECONDS); // the compiler warms up
  const steals: number[] = [];
  for (let round = 1; round <= bench.options.rounds; round++) {
    const before = cpuTimes();
    for (const [name, work] of works) add(name, cost(work, SLICE_SECONDS));
    initiator.reset();
    responder.reset();
    const done = exchanges(initiator, responder, now, bench.options.seconds);
    now = done.now;
    const engine = initiator.engineMicros + responder.engineMicros;
    const jobs = initiator.jobMicros + responder.jobMicros;
    add("exchange, both ends, engine without crypto", engine / done.count);
    add("exchange, both ends, with crypto", (engine + jobs) / done.count);
    steals.push(stealShare(before, cpuTimes()));
    bench.tell(`round ${round}`);
  }
  const rows = [...samples].map(([name, values]) => microRow(name, summarize(values)));
  return {
    suite: "micro",
    id: "typescript",
    title: "Packets and exchanges in TypeScript, CPU time of one thread",
    unit: "us",
    better: "lower",
    rows,
    notes: noise(rows, steals),
  };
}

interface NativeRow {
  readonly what: string;
  readonly detail: string;
  readonly bytes: number;
  readonly ns: number;
}

async function inCpp(bench: Bench): Promise<Table> {
  const target = "native/build/plain/bench/packet_bench";
  bench.tell("compiling native/bench");
  await runProgram(["make", "-C", ROOT, "-s", "-f", "native/native.mk", target], { timeoutMillis: 600_000 });
  const text = await runProgram([join(ROOT, target), "json"], { timeoutMillis: 300_000 });
  const found = JSON.parse(text.slice(text.indexOf("["))) as readonly NativeRow[];
  return {
    suite: "micro",
    id: "native",
    title: "The packet path in C++, best of seven rounds",
    unit: "ns",
    better: "lower",
    rows: found.map(({ what, detail, bytes, ns }) =>
      microRow(`${what} ${detail}, ${bytes} bytes`, summarize([ns])),
    ),
    notes: [],
  };
}

function microRow(name: string, summary: Summary): Row {
  return { contestant: name, what: name, summary, ratios: {}, extra: {} };
}

export const micro: Suite = {
  name: "micro",
  what: "codecs, the protocol engine, the packet path",
  run: async (bench) => [await inTypeScript(bench), await inCpp(bench)],
};
