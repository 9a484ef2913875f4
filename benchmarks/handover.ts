/**
 * A machine changes its address under a stream: how long nothing arrives, and how much is lost. "Break": the old address is
 * gone before the new one is there, and hipd has to notice by itself. "Make": both are there for a while, and the old one is
 * deprecated meanwhile.
 */
import type { Contestant } from "./contestants/contestant.ts";
import { briefly, type Entrant, type Lane, lanes, takeTurns } from "./field.ts";
import { type ProbeRun, probe } from "./mixed.ts";
import { middle, rows } from "./rows.ts";
import { ETHERNET, UNDERLAY } from "./site.ts";
import { noise, summarize } from "./stats.ts";
import type { Bench, Suite, Table } from "./suite.ts";

const INTERVAL_MICROS = 1000;
/** The client's addresses, between which it moves to and fro. */
const ADDRESSES = ["192.0.2.1", "192.0.2.9"] as const;
/** How long both addresses are there when the new one is made before the old one is broken. */
const OVERLAP_MILLIS = 1000;
const FIRST_PORT = 7100;

type How = "break" | "make";

interface Times {
  /** How long datagrams and streams run. */
  readonly millis: number;
  /** When the client moves. */
  readonly moveAfterMillis: number;
  /** A stream that has not ended so long after its time has lost its connection. */
  readonly graceMillis: number;
}

/** With all suites in one run, as long as a move and what follows it take. */
function times({ options }: Bench): Times {
  return options.thorough
    ? { millis: 3000, moveAfterMillis: 1000, graceMillis: 3000 }
    : { millis: 2000, moveAfterMillis: 500, graceMillis: 1500 };
}

/** Where clients are that have moved: the index of their address. */
const places = new WeakMap<Entrant, number>();

function pause(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis));
}

async function move(entrant: Entrant, how: How): Promise<void> {
  const { client } = entrant.site;
  const place = places.get(entrant) ?? 0;
  places.set(entrant, 1 - place);
  const [old, next] = [ADDRESSES[place] as string, ADDRESSES[1 - place] as string];
  const goes = `addr del ${old}/24 dev ${UNDERLAY}`;
  const comes = `addr add ${next}/24 dev ${UNDERLAY}`;
  const fades = `addr change ${old}/24 dev ${UNDERLAY} valid_lft 3600 preferred_lft 0`;
  // Else an address takes those with it that were added to its subnet after it.
  await client.namespace.sysctl({ "net.ipv4.conf.all.promote_secondaries": 1 });
  if (how === "break") {
    await client.namespace.ip([goes, comes]);
  } else {
    await client.namespace.ip([comes, fades]);
    await pause(OVERLAP_MILLIS);
    await client.namespace.ip([goes]);
  }
  await entrant.running.move?.(client, next);
}

interface Datagrams {
  readonly gapMillis: number;
  readonly lost: number;
  /** Seconds since the first datagram, milliseconds on the way. */
  readonly delays: readonly (readonly [number, number])[];
}

async function datagrams(lane: Lane, how: How, { millis, moveAfterMillis }: Times): Promise<Datagrams> {
  const probing = probe(lane, (millis * 1000) / INTERVAL_MICROS, INTERVAL_MICROS);
  probing.catch(() => {}); // is awaited below
  await pause(moveAfterMillis);
  await move(lane.entrant, how);
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

interface Stream {
  readonly gapMillis: number;
  /** The connection was not there any more. */
  readonly dead: boolean;
}

let port = FIRST_PORT;

/** A bulk stream with a sink of its own: one whose connection dies must not stay in the way of the next. */
async function stream(lane: Lane, { millis, moveAfterMillis, graceMillis }: Times): Promise<Stream> {
  const { running, site } = lane.entrant;
  const { sink, source } = await running.stream(lane.target, ++port);
  const serving = site.server.namespace.spawn(sink);
  await serving.line((line) => line === "listening");
  const sending = site.client.namespace.spawn([...source, `${millis / 1000}`, "1"]);
  await pause(moveAfterMillis);
  await move(lane.entrant, "break");
  const limit = millis - moveAfterMillis;
  const count = await serving
    .until(
      () => serving.out.find((line) => line.startsWith("{")),
      limit + graceMillis,
      () => `waiting for the count of ${lane.name}`,
    )
    .catch(() => undefined);
  await Promise.all([sending.stop("SIGKILL"), serving.stop("SIGKILL")]);
  if (count === undefined) return { gapMillis: limit, dead: true };
  const { longestGapMicros } = JSON.parse(count) as { readonly longestGapMicros: number };
  return { gapMillis: longestGapMicros / 1000, dead: false };
}

/** Those whose tunnel can move; without one (`streams`), connections show what happens to them. */
async function movers(bench: Bench, contestants: readonly Contestant[]): Promise<readonly Lane[]> {
  const all = await lanes(briefly(bench), contestants, ETHERNET);
  return all.filter(({ name, entrant }) => {
    const moves = entrant.running.move !== undefined || entrant.contestant.carries === "streams";
    if (!moves) bench.tell(`skipped ${name}: it cannot change its address`);
    return moves;
  });
}

const gapOf = ({ gapMillis }: { readonly gapMillis: number }): number => gapMillis;

async function datagramTable(bench: Bench, all: readonly Lane[], how: How): Promise<Table> {
  const length = times(bench);
  const rounds = await takeTurns(
    bench,
    all,
    (lane) => datagrams(lane, how, length),
    ({ gapMillis, lost }) => `nothing for ${gapMillis.toFixed(1)} ms, ${lost} of ${length.millis} lost`,
  );
  const found = rows(rounds, gapOf, (_, samples) => ({
    series: middle(samples, gapOf)?.delays ?? [],
    extra: { "lost datagrams": summarize(samples.map((sample) => sample.lost)).median },
  }));
  const order = how === "break" ? "the old one gone first" : "both there for a second";
  return {
    suite: "handover",
    ...(how === "break" ? {} : { id: how }),
    title: `Another address under a stream of one datagram a millisecond, ${order}: longest time without one`,
    unit: "ms",
    better: "lower",
    rows: found,
    notes: noise(found, rounds.steals),
  };
}

async function streamTable(bench: Bench, all: readonly Lane[]): Promise<Table> {
  const length = times(bench);
  const rounds = await takeTurns(
    bench,
    all,
    (lane) => stream(lane, length),
    ({ gapMillis, dead }) => (dead ? "the connection is gone" : `nothing for ${gapMillis.toFixed(1)} ms`),
  );
  const found = rows(rounds, gapOf, (_, samples) => ({
    extra: { "connections that died": samples.filter(({ dead }) => dead).length },
  }));
  const limit = length.millis - length.moveAfterMillis;
  return {
    suite: "handover",
    id: "tcp",
    title: "Another address under a TCP stream, the old one gone first: longest time without a byte",
    unit: "ms",
    better: "lower",
    rows: found,
    notes: [
      `A connection that died counts with the rest of its time, ${limit} ms.`,
      ...noise(found, rounds.steals),
    ],
  };
}

async function run(bench: Bench): Promise<readonly Table[]> {
  const tunnels = bench.contestants.filter(({ carries, name }) => carries === "packets" && name !== "bare");
  const tls = bench.contestants.filter(({ name }) => name === "tls-c");
  const able = await movers(bench, tunnels);
  const tables: Table[] = [];
  const ways = bench.options.thorough ? (["break", "make"] as const) : (["break"] as const);
  for (const how of ways) {
    bench.tell(how === "break" ? "the old address goes first" : "the new address comes first");
    tables.push(await datagramTable(bench, able, how));
  }
  bench.tell("TCP");
  tables.push(await streamTable(bench, [...able, ...(await movers(bench, tls))]));
  return tables;
}

export const handover: Suite = {
  name: "handover",
  what: "the gap when a machine changes its address, in ms",
  run,
};
