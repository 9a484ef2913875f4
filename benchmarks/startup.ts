/** From nothing: how long a tunnel takes to be ready, and its first echo with all that must be negotiated before. */
import { attempt } from "../tools/lab/shell.ts";
import type { Contestant, Target } from "./contestants/contestant.ts";
import { daemons } from "./contestants/hipd.ts";
import { order, stealShare } from "./field.ts";
import { pingTimes } from "./latency.ts";
import { cpuTimes } from "./machine.ts";
import { ETHERNET, makeSite } from "./site.ts";
import { noise, pairedRatio, summarize } from "./stats.ts";
import type { Bench, Row, Suite, Table } from "./suite.ts";

interface Start {
  /** Until the programs of both ends say that they are ready. */
  readonly readyMillis: number;
  readonly firstPingMillis: number;
}

/** Starts everything anew on a site of its own, and ends it. */
async function start(bench: Bench, contestant: Contestant): Promise<Start> {
  const site = await makeSite(bench.lab, `${contestant.name}-start`, ETHERNET);
  const begun = performance.now();
  const running = await contestant.start(site);
  const both = performance.now() - begun;
  try {
    const target = running.targets[0] as Target;
    // Neighbours below know each other already: only the tunnel is new.
    await attempt(site.client.namespace.inside(["ping", "-n", "-c", "1", site.server.address]));
    const command = ["ping", "-n", "-c", "1", "-W", "10", target.address];
    const { stdout } = await site.client.namespace.attempt(command, { timeoutMillis: 15_000 });
    const [firstPingMillis] = pingTimes(stdout);
    if (firstPingMillis === undefined) {
      throw new Error(`${contestant.name}: the first echo request was not answered: ${stdout}`);
    }
    return { readyMillis: daemons(running)?.readyMillis ?? both, firstPingMillis };
  } finally {
    await running.stop();
  }
}

export async function startupTables(bench: Bench): Promise<readonly Table[]> {
  let able = bench.contestants.filter((contestant) => contestant.carries === "packets");
  const samples = new Map<Contestant, Start[]>(able.map((contestant) => [contestant, []]));
  const steals: number[] = [];
  for (let round = 1; round <= bench.options.rounds; round++) {
    for (const index of order(able.length, round)) {
      const contestant = able[index] as Contestant;
      const before = cpuTimes();
      try {
        const sample = await start(bench, contestant);
        samples.get(contestant)?.push(sample);
        const { readyMillis, firstPingMillis } = sample;
        bench.tell(
          `round ${round}  ${contestant.name.padEnd(14)} ready ${readyMillis.toFixed(0)} ms, first ping ${firstPingMillis.toFixed(1)} ms`,
        );
      } catch (error) {
        // Some lose the packets that come before their tunnel is there.
        bench.tell(`round ${round}  ${error instanceof Error ? error.message.split("\n")[0] : error}`);
      }
      steals.push(stealShare(before, cpuTimes()));
    }
    able = able.filter((contestant) => samples.get(contestant)?.length === round);
  }
  const table = (id: string, title: string, value: (sample: Start) => number): Table => {
    // Nothing has to be started for the bare path.
    const shown = id === "ready" ? able.filter((contestant) => contestant.name !== "bare") : able;
    const rows = shown.map((contestant): Row => {
      const own = (samples.get(contestant) ?? []).map(value);
      const ratios = shown.map((other) => {
        const theirs = (samples.get(other) ?? []).map(value);
        return [other.name, pairedRatio(own, theirs)] as const;
      });
      return {
        contestant: contestant.name,
        what: contestant.what,
        summary: summarize(own),
        ratios: Object.fromEntries(ratios),
        extra: {},
      };
    });
    return { suite: "startup", id, title, unit: "ms", better: "lower", rows, notes: noise(rows, steals) };
  };
  return [
    table(
      "ping",
      "First ping without an association: everything is negotiated first",
      (sample) => sample.firstPingMillis,
    ),
    {
      ...table(
        "ready",
        "From the start of the programs until they are ready",
        (sample) => sample.readyMillis,
      ),
      notes: [
        "hipd: until a daemon says that it is ready; the two start one after the other, and their mean counts",
        "others: until the programs of both ends are there, with what the benchmark runs to set them up; strongSwan negotiates already then",
      ],
    },
  ];
}

export const startup: Suite = {
  name: "startup",
  what: "first ping and start to ready, in ms",
  run: startupTables,
};
