/**
 * `make bench-quick`: the main ratios within 90 seconds. The last line of the output is one JSON object; the exit status is 1
 * when a floor (floors.ts) is missed. Each value is a median of three rounds in turns, and what misses is measured once more.
 */
import { Lab, unavailable } from "../tools/lab/lab.ts";
import { choose } from "./contestants/all.ts";
import { type Check, floorText, runChecks } from "./floors.ts";
import { handshakes } from "./handshakes.ts";
import { latencyTable } from "./latency.ts";
import { busyText, isBusy, load, machine } from "./machine.ts";
import { mixedTable } from "./mixed.ts";
import { packetsTable } from "./packets.ts";
import { ETHERNET, type PathSpec } from "./site.ts";
import { startupTables } from "./startup.ts";
import { pairedDifference, pairedRatio } from "./stats.ts";
import type { Bench, Row, Table } from "./suite.ts";
import { throughputTable } from "./throughput.ts";

const ROUNDS = 3;
const SECONDS = 0.6;
/** No second chances after this, so that all of it ends within 90. */
const LAST_RETRY_SECONDS = 75;
const OURS = "hipd HIT";

const reason = unavailable();
if (reason !== undefined) {
  console.error(`The benchmarks make network namespaces and a TUN device: this ${reason}.`);
  process.exit(1);
}

function row(table: Table | undefined, contestant: string): Row {
  const found = table?.rows.find((one) => one.contestant === contestant);
  if (found === undefined) throw new Error(`${contestant} has no row in ${table?.title ?? "a table"}`);
  return found;
}

function ratio(table: Table, contestant: string, base: string): number {
  return row(table, contestant).ratios[base] ?? Number.NaN;
}

function checks(bench: Bench): readonly Check[] {
  const only = (...targets: readonly string[]): Bench => ({
    ...bench,
    wants: (target) => targets.includes(target),
  });
  const pair = only("bare", OURS);
  const packets = bench.contestants.filter((one) => one.carries === "packets");
  const noisy = (table: Table): Table => {
    for (const note of table.notes) if (note.startsWith("noisy")) noise.push(`${table.title}: ${note}`);
    return table;
  };
  const stream = async (on: Bench, path: PathSpec, streams = 1): Promise<Table> =>
    noisy(await throughputTable(on, path, streams));
  const narrow = { ...pair, contestants: packets };
  return [
    {
      name: "tcp",
      async measure() {
        const table = await stream(bench, ETHERNET);
        const own = row(table, OURS);
        return {
          tcp_gbit_per_s: own.summary.median,
          tcp_of_bare: ratio(table, OURS, "bare"),
          tcp_lsi_of_bare: ratio(table, "hipd LSI", "bare"),
          tcp_of_tls_c: ratio(table, OURS, "tls-c"),
          tcp_of_tls_node: ratio(table, OURS, "tls-node"),
          tunnel_cpu_s_per_gb: own.extra["CPU s/GB, tunnel"] ?? Number.NaN,
          memory_mb: own.extra["memory, MB"] ?? Number.NaN,
        };
      },
    },
    {
      name: "tcp, four streams",
      async measure() {
        const turn = { ...only(OURS), contestants: packets, options: { ...bench.options, rounds: 1 } };
        // A round of one stream before each of four: the two are compared, so they take turns as well.
        const ones: number[] = [];
        const fours: number[] = [];
        for (let round = 1; round <= ROUNDS; round++) {
          ones.push(row(await stream(turn, ETHERNET), OURS).summary.median);
          fours.push(row(await stream(turn, ETHERNET, 4), OURS).summary.median);
        }
        return { tcp4_of_tcp1: pairedRatio(fours, ones) };
      },
    },
    {
      name: "tcp, 8900-byte path",
      measure: async () => ({
        tcp_8900_of_bare: ratio(await stream(narrow, { ...ETHERNET, mtu: 8900 }), OURS, "bare"),
      }),
    },
    {
      name: "tcp, offloads of the cable off",
      measure: async () => ({
        tcp_no_offloads_of_bare: ratio(await stream(narrow, { ...ETHERNET, offloads: false }), OURS, "bare"),
      }),
    },
    {
      name: "udp",
      measure: async () => ({
        udp_of_bare: ratio(noisy(await packetsTable(narrow, 1, 1)), OURS, "bare"),
      }),
    },
    {
      name: "round trips, idle",
      async measure() {
        const idle = noisy(await latencyTable(pair, packets, false));
        const [own, bare] = [row(idle, OURS), row(idle, "bare")];
        return {
          rtt_idle_over_bare_ms: pairedDifference(own.summary.samples, bare.summary.samples),
        };
      },
    },
    {
      name: "round trips beside a stream",
      measure: async () => ({
        rtt_loaded_ms: row(noisy(await latencyTable(only(OURS), packets, true)), OURS).summary.median,
      }),
    },
    {
      name: "mixed",
      measure: async () => ({
        mixed_p99_ms: row(noisy(await mixedTable(only(OURS))), OURS).summary.median,
      }),
    },
    {
      name: "handshakes",
      async measure() {
        const [table] = await handshakes.run(bench);
        return { handshakes_of_tls: ratio(noisy(table as Table), "hipd", "tls-c") };
      },
    },
    {
      name: "startup",
      async measure() {
        const hipd = bench.contestants.filter((one) => one.name === "hipd");
        const [ping, ready] = await startupTables({ ...bench, contestants: hipd });
        return {
          first_ping_ms: row(ping, "hipd").summary.median,
          ready_ms: row(ready, "hipd").summary.median,
        };
      },
    },
  ];
}

const begun = performance.now();
const seconds = (): number => (performance.now() - begun) / 1000;
const noise: string[] = [];
const lab = Lab.create();
try {
  const tell = (line: string): void => console.log(`${seconds().toFixed(0).padStart(3)} s  ${line}`);
  const { chosen } = choose("bare,hipd,tls-c,tls-node");
  const options = { rounds: ROUNDS, seconds: SECONDS, thorough: false };
  const bench: Bench = { lab, options, contestants: chosen, tell };
  const before = load();
  if (isBusy(before)) noise.push(busyText(before));
  const outcome = await runChecks(checks(bench), () => seconds() < LAST_RETRY_SECONDS, tell);
  for (const floor of outcome.missed) {
    console.log(`below the floor: ${floorText(floor, outcome.values[floor.name] as number)}`);
  }
  for (const note of new Set(noise)) console.log(note);
  const { cpu, cores, kernel } = machine();
  process.exitCode = outcome.missed.length === 0 ? 0 : 1;
  await lab.close();
  console.log(
    JSON.stringify({
      ok: outcome.missed.length === 0,
      ...Object.fromEntries(
        Object.entries(outcome.values).map(([name, value]) => [name, Number(value.toPrecision(3))]),
      ),
      missed: outcome.missed.map((floor) => floor.name),
      retried: outcome.retried,
      noisy: noise.length > 0,
      load: before,
      machine: `${cpu}, ${cores} cores, Linux ${kernel}`,
      seconds: Math.round(seconds()),
    }),
  );
} finally {
  await lab.close();
}
