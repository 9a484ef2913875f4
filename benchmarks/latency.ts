/** Round trips as ping measures them: idle, and beside a TCP stream through the same tunnel. */
import type { Namespace } from "../tools/lab/lab.ts";
import { startBulk } from "./bulk.ts";
import type { Contestant } from "./contestants/contestant.ts";
import { hipdPolling } from "./contestants/hipd.ts";
import { briefly, dismiss, type Lane, lanes, takeTurns } from "./field.ts";
import { rows } from "./rows.ts";
import { ETHERNET } from "./site.ts";
import { noise, percentile, summarize } from "./stats.ts";
import type { Bench, Suite, Table } from "./suite.ts";

/** Seconds between echo requests: idle tunnels fall asleep between them. */
const INTERVAL = 0.004;
/** The stream gets up to speed before it is measured beside it. */
const RUN_UP_SECONDS = 0.4;

/** The times of `count` echo requests in milliseconds, lost ones left out. */
export async function roundTrips(
  from: Namespace,
  to: string,
  count: number,
  interval: number,
): Promise<number[]> {
  const command = ["ping", "-n", "-c", `${count}`, "-i", `${interval}`, "-W", "2", to];
  const { stdout, stderr } = await from.attempt(command, {
    timeoutMillis: (count * interval + 20) * 1000,
  });
  const times = pingTimes(stdout);
  if (times.length < count / 2) {
    throw new Error(
      `only ${times.length} of ${count} echo requests were answered: ${stderr}${stdout.slice(-300)}`,
    );
  }
  return times;
}

/** Reads what ping(8) says. */
export function pingTimes(output: string): number[] {
  return [...output.matchAll(/ time=([\d.]+) ms/g)].map((match) => Number(match[1]));
}

async function measure(bench: Bench, lane: Lane, loaded: boolean): Promise<readonly number[]> {
  const { seconds } = bench.options;
  const from = lane.entrant.site.client.namespace;
  const count = Math.round(seconds / INTERVAL);
  if (!loaded) return roundTrips(from, lane.target.address, count, INTERVAL);
  const stream = await startBulk(lane, seconds + 2 * RUN_UP_SECONDS, 1);
  await new Promise((resolve) => setTimeout(resolve, RUN_UP_SECONDS * 1000));
  const [times] = await Promise.all([roundTrips(from, lane.target.address, count, INTERVAL), stream.ended]);
  return times;
}

export async function latencyTable(
  bench: Bench,
  contestants: readonly Contestant[],
  loaded: boolean,
): Promise<Table> {
  const able = contestants.filter((contestant) => contestant.carries === "packets");
  const all = await lanes(bench, able, ETHERNET);
  const median = (sample: readonly number[]): number => summarize(sample).median;
  const rounds = await takeTurns(
    bench,
    all,
    (lane) => measure(bench, lane, loaded),
    (sample) => `${median(sample).toFixed(3)} ms`,
  );
  const found = rows(rounds, median, (_, samples) => {
    const times = samples.flat();
    return {
      distribution: times,
      extra: { "p95, ms": percentile(times, 95), "p99, ms": percentile(times, 99) },
    };
  });
  return {
    suite: "latency",
    id: loaded ? "loaded" : "idle",
    title: `Round trip, ${loaded ? "beside a TCP stream in the same tunnel" : "idle"}`,
    unit: "ms, median",
    better: "lower",
    rows: found,
    notes: noise(found, rounds.steals),
  };
}

async function run(bench: Bench): Promise<readonly Table[]> {
  const reason = hipdPolling.missing();
  const polls = bench.contestants.some(({ name }) => name === "hipd") && reason === undefined;
  if (reason !== undefined) bench.tell(`skipped hipd-poll: ${reason}`);
  const contestants = polls ? [...bench.contestants, hipdPolling] : bench.contestants;
  const tables: Table[] = [];
  for (const loaded of [false, true]) {
    bench.tell(loaded ? "beside a TCP stream" : "idle");
    tables.push(await latencyTable(briefly(bench), contestants, loaded));
  }
  // Whatever wakes it up, it takes a processor for a while: not beside the suites that follow.
  if (polls) await dismiss(bench, hipdPolling, ETHERNET);
  return tables;
}

export const latency: Suite = { name: "latency", what: "round trips, idle and beside a stream, in ms", run };
