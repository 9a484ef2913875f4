/** The contestants at their starting lines, and the rounds in which they take turns. */
import type { Lab } from "../tools/lab/lab.ts";
import type { Contestant, Running, Target } from "./contestants/contestant.ts";
import { type CpuTimes, cpuTimes } from "./machine.ts";
import { makeSite, type PathSpec, pathName, type Site, untilReached } from "./site.ts";
import type { Bench } from "./suite.ts";

/** A contestant that runs on a site of its own. */
export interface Entrant {
  readonly contestant: Contestant;
  readonly site: Site;
  readonly running: Running;
}

/** What is measured in turns: one target of one entrant. */
export interface Lane {
  readonly name: string;
  readonly what: string;
  readonly entrant: Entrant;
  readonly target: Target;
}

/** Without these no result means anything: that they cannot start is an error, not a reason to go on. */
const INDISPENSABLE = ["bare", "hipd"];

const fields = new WeakMap<Lab, Map<string, Promise<Entrant>>>();
/** What could not start once is not tried again. */
const failed = new WeakMap<Lab, Set<Contestant>>();

const keyOf = (contestant: Contestant, path: PathSpec): string => `${contestant.name} ${pathName(path)}`;

/** Starts a contestant on a path, once in a run, and waits until its tunnel carries echo requests. */
export function entrant(bench: Bench, contestant: Contestant, path: PathSpec): Promise<Entrant> {
  const known = fields.get(bench.lab) ?? new Map<string, Promise<Entrant>>();
  fields.set(bench.lab, known);
  const key = keyOf(contestant, path);
  const begun = known.get(key) ?? begin(bench, contestant, path);
  known.set(key, begun);
  return begun;
}

/** Stops a contestant on a path, if it runs; `entrant` would start it anew. */
export async function dismiss(bench: Bench, contestant: Contestant, path: PathSpec): Promise<void> {
  const known = fields.get(bench.lab);
  const key = keyOf(contestant, path);
  const one = await known?.get(key)?.catch(() => undefined);
  known?.delete(key);
  await one?.running.stop();
}

async function begin(bench: Bench, contestant: Contestant, path: PathSpec): Promise<Entrant> {
  const site = await makeSite(bench.lab, contestant.name, path);
  const running = await contestant.start(site);
  if (contestant.carries === "packets") {
    for (const target of running.targets) await untilReached(site, target.address);
  }
  return { contestant, site, running };
}

/** The lanes of these contestants; one that cannot start is named with the reason and left out. */
export async function lanes(
  bench: Bench,
  contestants: readonly Contestant[],
  path: PathSpec,
): Promise<readonly Lane[]> {
  const all: Lane[] = [];
  const able = contestants.filter((one) => failed.get(bench.lab)?.has(one) !== true);
  // Nothing is measured now: they may start side by side.
  const begun = able.map((one) => [one, entrant(bench, one, path)] as const);
  for (const [, starting] of begun) starting.catch(() => {}); // is awaited below
  for (const [contestant, starting] of begun) {
    try {
      const one = await starting;
      for (const target of one.running.targets) {
        if (bench.wants?.(target.name) === false) continue;
        all.push({ name: target.name, what: target.what, entrant: one, target });
      }
    } catch (error) {
      giveUp(bench, contestant, error);
    }
  }
  return all;
}

/** Goes on without a contestant that failed; throws the error when nothing means anything without it. */
function giveUp(bench: Bench, contestant: Contestant, error: unknown): void {
  if (INDISPENSABLE.includes(contestant.name)) throw error;
  const hopeless = failed.get(bench.lab) ?? new Set<Contestant>();
  failed.set(bench.lab, hopeless.add(contestant));
  const reason = error instanceof Error ? error.message : String(error);
  bench.tell(`skipped ${contestant.name}: ${reason.split("\n").slice(0, 12).join("\n    ")}`);
}

/** Where LSI and HIT differ little, a run of all suites measures the HIT alone. */
export function briefly(bench: Bench): Bench {
  return bench.options.thorough ? bench : { ...bench, wants: (target) => !target.endsWith(" LSI") };
}

export interface Rounds<S> {
  readonly samples: ReadonlyMap<Lane, readonly S[]>;
  /** For each turn the share of the time that the hypervisor took away. */
  readonly steals: readonly number[];
}

/** The order in which `count` lanes take turns: forth in odd rounds and back in even ones, so that none always follows the same. */
export function order(count: number, round: number): number[] {
  const forth = Array.from({ length: count }, (_, i) => i);
  return round % 2 === 1 ? forth : forth.reverse();
}

/** Every lane has its turn in every round. `show` makes the line that tells what was measured. */
export async function takeTurns<S>(
  bench: Bench,
  all: readonly Lane[],
  measure: (lane: Lane, round: number) => Promise<S>,
  show: (sample: S) => string,
): Promise<Rounds<S>> {
  const samples = new Map<Lane, S[]>(all.map((lane) => [lane, []]));
  const steals: number[] = [];
  for (let round = 1; round <= bench.options.rounds; round++) {
    for (const index of order(all.length, round)) {
      const lane = all[index] as Lane;
      const own = samples.get(lane);
      if (own === undefined) continue;
      const before = cpuTimes();
      try {
        const sample = await measure(lane, round);
        own.push(sample);
        bench.tell(`round ${round}  ${lane.name.padEnd(14)} ${show(sample)}`);
      } catch (error) {
        giveUp(bench, lane.entrant.contestant, error);
        samples.delete(lane);
      }
      steals.push(stealShare(before, cpuTimes()));
    }
  }
  return { samples, steals };
}

export function stealShare(before: CpuTimes, after: CpuTimes): number {
  const total = after.total - before.total;
  return total > 0 ? (after.steal - before.steal) / total : 0;
}
