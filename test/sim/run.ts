/** The life of one world: faults and actions, then calm, then everybody who may talk must talk. */
import { act } from "./actions.ts";
import { diagram } from "./diagram.ts";
import { knownPlaces, reachable } from "./mobile.ts";
import type { Faults } from "./network.ts";
import { beQuiet } from "./quiet.ts";
import type { SeededRandom } from "./random.ts";
import { type Pair, World, type WorldOptions } from "./world.ts";

/** After the faults have stopped everybody must have been heard within this time, in milliseconds. */
export const LIVENESS_BOUND = 180_000;
/** The same where machines move. */
export const MOBILE_BOUND = 90_000;
/** Worlds that are watched for a while after all is well. */
const QUIET_SHARE = 0.6;
/** Applications try again this often while they wait. */
const TALK_INTERVAL = 1000;
/** Time in which a daemon that stops must have stopped. */
const STOP_BOUND = 2000;

export interface Outcome {
  readonly seed: number | string;
  readonly breaches: readonly string[];
  readonly hash: string;
  /** Virtual milliseconds. */
  readonly time: number;
  /** Virtual milliseconds from calm until everybody was heard. */
  readonly recovery: number;
  readonly steps: number;
  readonly counts: ReadonlyMap<string, number>;
  readonly picture: (lines?: number) => string;
}

/** Lives through one seed. */
export function runSeed(seed: number | string, options: WorldOptions = {}): Outcome {
  const world = new World(seed, options);
  const random = world.random.fork("actions");
  world.bootAll();
  world.network.faults = options.faults ?? randomFaults(random);
  const end = random.between(5_000, 45_000);
  const pace = random.pick([100, 400, 1500]);
  const next = (): void => {
    if (world.queue.now >= end) return;
    act(world, random);
    world.queue.after(random.exponential(pace), next);
  };
  world.queue.after(random.below(1000), next);
  while (world.queue.now < end && world.invariants.breaches.length === 0) {
    world.run(Math.min(1000, end - world.queue.now));
    examine(world);
  }
  const recovery = calm(world, world.mobile ? MOBILE_BOUND : LIVENESS_BOUND, random);
  if (world.mobile && random.chance(QUIET_SHARE)) beQuiet(world);
  if (world.invariants.breaches.length === 0) stopAll(world);
  return {
    seed,
    breaches: world.invariants.breaches,
    hash: world.trace.hash,
    time: world.queue.now,
    recovery,
    steps: world.queue.steps,
    counts: world.trace.counts,
    picture: (lines) =>
      diagram(
        world.trace,
        world.daemons.map(({ name }) => name),
        lines,
      ),
  };
}

/** Ends all faults and waits until every permitted pair has exchanged data both ways. Milliseconds that it took. */
export function calm(
  world: World,
  bound: number = LIVENESS_BOUND,
  random: SeededRandom | undefined = undefined,
): number {
  const since = world.queue.now;
  if (world.invariants.breaches.length > 0) return 0;
  world.calm = true;
  world.network.calm();
  world.jobDelay = 1;
  world.bootAll();
  settle(world, random);
  world.trace.action(since, "", "calm");
  const wanted = world.mobile ? reachable(world) : world.permitted();
  const silent = (): readonly Pair[] =>
    wanted.filter(({ a, b }) => !heardSince(world, a, b, since) || !heardSince(world, b, a, since));
  while (world.queue.now < since + bound && world.invariants.breaches.length === 0) {
    const pairs = silent();
    if (pairs.length === 0) return world.queue.now - since;
    for (const { a, b } of pairs) {
      // Both, even when one was heard already: behind a NAT only one of them can begin.
      world.say(a, b);
      world.say(b, a, "lsi");
    }
    world.run(TALK_INTERVAL);
    examine(world);
  }
  for (const { a, b } of silent()) {
    const states = [a, b].map((one, i) => {
      const hit = world.hitOf(one, i === 0 ? b : a);
      const state = hit === undefined ? undefined : one.overlay?.host.association(hit)?.state;
      const route = hit === undefined ? undefined : one.plane?.routeOf(hit);
      const places = knownPlaces(one, i === 0 ? b : a).map(({ address }) => address);
      const where = `at ${one.addresses.join(" ")}, looks at ${places.join(" ")}`;
      return `${one.name} is ${state ?? "UNASSOCIATED"}, route ${route}, ${where}`;
    });
    world.invariants.breach(
      `${a.name} and ${b.name} could not talk within ${bound} ms of calm: ${states.join("; ")}`,
    );
  }
  return world.queue.now - since;
}

/** Everybody is awake and somewhere: at home, or where it happens to be. */
function settle(world: World, random: SeededRandom | undefined): void {
  for (const daemon of world.daemons) {
    daemon.wake();
    const home = daemon.addresses.length === 0 || random?.chance(0.4) === true;
    if (world.mobile && home) daemon.move(daemon.machine.addresses);
  }
}

function heardSince(world: World, from: Pair["a"], to: Pair["b"], since: number): boolean {
  return (world.heard(from, to) ?? -1) > since;
}

function examine(world: World): void {
  for (const daemon of world.daemons) {
    world.invariants.examine(daemon);
    for (const text of daemon.overdue())
      world.invariants.breach(`${daemon.name}: request "${text}" has no end`);
  }
}

function stopAll(world: World): void {
  world.trace.action(world.queue.now, "", "stop");
  const stopped = new Set<string>();
  for (const daemon of world.daemons) daemon.stop(STOP_BOUND, () => stopped.add(daemon.name));
  world.run(STOP_BOUND + 100);
  for (const { name } of world.daemons) {
    if (!stopped.has(name)) world.invariants.breach(`${name} does not stop`);
  }
}

function randomFaults(random: SeededRandom): Faults {
  const often = (probability: number, value: () => number): number =>
    random.chance(probability) ? value() : 0;
  return {
    loss: often(0.7, () => random.float() * 0.3),
    burst: often(0.3, () => random.float() * 0.03),
    burstLength: 1 + random.below(10),
    duplicate: often(0.5, () => random.float() * 0.2),
    reorder: often(0.5, () => random.float() * 0.3),
    jitter: often(0.5, () => random.float() * 100),
  };
}
