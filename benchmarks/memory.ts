/** Resident memory of hipd: with ten peers, and how it grows under load, beside that of the other tunnels. */
import { Daemon } from "../tools/lab/daemon.ts";
import { ping } from "../tools/lab/ping.ts";
import { measureBulk } from "./bulk.ts";
import { type Lane, lanes } from "./field.ts";
import { residentMegabytes } from "./machine.ts";
import { ETHERNET } from "./site.ts";
import { pairedRatio, summarize } from "./stats.ts";
import type { Bench, Row, Suite, Table } from "./suite.ts";

const PEERS = 10;

/** One daemon in the middle, associations with ten others; MB of the one in the middle. */
export async function withTenPeers(bench: Bench): Promise<number> {
  const { lab } = bench;
  const label = `memory-${performance.now().toFixed(0)}`;
  const config = { log: { level: "info" } };
  const middle = new Daemon(lab, await lab.namespace(`${label}-middle`), { config });
  const others: Daemon[] = [];
  for (let i = 1; i <= PEERS; i++) {
    const namespace = await lab.namespace(`${label}-peer${i}`);
    await lab.link(
      { namespace: middle.namespace, device: `eth${i}`, addresses: [`192.0.2.${4 * i + 1}/30`] },
      { namespace, device: "eth0", addresses: [`192.0.2.${4 * i + 2}/30`] },
    );
    const other = new Daemon(lab, namespace, { config });
    other.peers.push({ name: "middle", hit: middle.hit, locators: [`192.0.2.${4 * i + 1}`] });
    middle.peers.push({ name: `peer${i}`, hit: other.hit, locators: [`192.0.2.${4 * i + 2}`] });
    others.push(other);
  }
  try {
    await middle.start();
    await Promise.all(others.map((other) => other.start()));
    for (const other of others) {
      const answer = await ping(middle.namespace, other.hit, 2);
      if (answer.received === 0) throw new Error(`a peer does not answer: ${answer.output}`);
    }
    return residentMegabytes(middle.pid);
  } finally {
    await Promise.all([middle, ...others].map((daemon) => daemon.stop().catch(() => undefined)));
  }
}

interface Growth {
  readonly before: number;
  readonly after: number;
}

/** The larger process of each tunnel, before and after all rounds of four streams. */
async function underLoad(bench: Bench): Promise<Table> {
  const able = bench.contestants.filter((one) => one.carries === "packets" && one.name !== "bare");
  const all = (await lanes(bench, able, ETHERNET)).filter(
    (lane, i, list) => list.findIndex((other) => other.entrant === lane.entrant) === i,
  );
  const resident = (lane: Lane): number => Math.max(...lane.entrant.running.pids.map(residentMegabytes));
  const growth = new Map<Lane, Growth>();
  for (const lane of all) {
    const before = resident(lane);
    await measureBulk(lane, bench.options.seconds * bench.options.rounds, 4);
    growth.set(lane, { before, after: resident(lane) });
    bench.tell(
      `${lane.name.padEnd(14)} ${before.toFixed(0)} MB, after four streams ${resident(lane).toFixed(0)} MB`,
    );
  }
  const rows = all.map((lane): Row => {
    const { before, after } = growth.get(lane) as Growth;
    const ratios = all.map((other) => {
      return [other.name, pairedRatio([after], [growth.get(other)?.after ?? Number.NaN])] as const;
    });
    return {
      contestant: lane.entrant.contestant.name,
      what: lane.what,
      summary: summarize([after]),
      ratios: Object.fromEntries(ratios),
      extra: { "before, MB": before, "growth, MB": after - before },
    };
  });
  return {
    suite: "memory",
    id: "load",
    title: "Resident memory of the larger end after four TCP streams",
    unit: "MB",
    better: "lower",
    rows,
    notes: [],
  };
}

async function run(bench: Bench): Promise<readonly Table[]> {
  const loaded = await underLoad(bench);
  const megabytes = await withTenPeers(bench);
  bench.tell(`hipd with ${PEERS} peers: ${megabytes.toFixed(0)} MB`);
  const row: Row = {
    contestant: "hipd",
    what: `one daemon with ${PEERS} associations`,
    summary: summarize([megabytes]),
    ratios: {},
    extra: {},
  };
  return [
    loaded,
    {
      suite: "memory",
      id: "peers",
      title: `Resident memory of a daemon with ${PEERS} peers`,
      unit: "MB",
      better: "lower",
      rows: [row],
      notes: [],
    },
  ];
}

export const memory: Suite = { name: "memory", what: "resident memory, with ten peers and under load", run };
