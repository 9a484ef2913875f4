/** After everybody was heard and nothing more happens, nothing more may happen: no handovers, and hardly a packet. */
import { LONGEST_HOLD, reachable } from "./mobile.ts";
import type { World } from "./world.ts";

/** Time for all paths to be found and for what failed to have proven itself again, in milliseconds. */
const SETTLE = 6 * LONGEST_HOLD;
const QUIET = 20_000;
const TALK_INTERVAL = 1000;
/** Larger than the narrowest link: bytes of a message. */
const LARGE = 1300;
/** HIP packets a second that an association may cost while nothing happens. */
const PACKETS_PER_SECOND = 2;
/** Turns a second that a daemon may take for itself and for each peer while nothing happens. */
const TURNS_PER_SECOND = 20;

export function beQuiet(world: World): void {
  if (world.invariants.breaches.length > 0) return;
  world.trace.action(world.queue.now, "", "quiet");
  const pairs = reachable(world);
  const talk = (millis: number): void => {
    const end = world.queue.now + millis;
    while (world.queue.now < end && world.invariants.breaches.length === 0) {
      for (const { a, b } of pairs) {
        world.say(a, b);
        world.say(b, a, "lsi");
        world.say(a, b, "lsi", LARGE);
        world.say(b, a, "hit", LARGE);
      }
      world.run(TALK_INTERVAL);
    }
  };
  talk(SETTLE);
  const before = world.activity();
  talk(QUIET);
  const after = world.activity();
  const seconds = QUIET / 1000;
  const associations = 2 * Math.max(1, world.permitted().length);
  const handovers = after.handovers - before.handovers;
  if (handovers > 0) world.invariants.breach(`${handovers} handovers while nothing happened`);
  const oversized = after.oversized - before.oversized;
  if (oversized > 0)
    world.invariants.breach(`${oversized} messages were too large for their path, and nobody knew`);
  const packets = after.packets - before.packets;
  if (packets > PACKETS_PER_SECOND * seconds * associations)
    world.invariants.breach(`${packets} HIP packets in ${seconds} s while nothing happened`);
  const turns = after.turns - before.turns;
  if (turns > TURNS_PER_SECOND * seconds * (associations + world.daemons.length))
    world.invariants.breach(`${turns} inputs in ${seconds} s while nothing happened`);
}
