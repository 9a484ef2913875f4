/** What happens to machines that move, and to the ways between them. */
import type { Daemon } from "./daemon.ts";
import { isInside } from "./mobile.ts";
import type { Nat } from "./nat.ts";
import type { SeededRandom } from "./random.ts";
import type { World } from "./world.ts";

export const MOBILE_WEIGHTS = {
  move: 14,
  bothMove: 4,
  hop: 3,
  addAddress: 6,
  dropAddress: 6,
  gone: 3,
  otherFamily: 4,
  comeHome: 6,
  eat: 6,
  eatLarge: 3,
  narrow: 3,
  farther: 4,
  rebind: 4,
  renumberNat: 2,
  sleep: 3,
  sleepAndMove: 2,
  amnesia: 1,
  handover: 4,
  prefer: 2,
} as const;

export type MobileActionName = keyof typeof MOBILE_WEIGHTS;

type Action = (world: World, random: SeededRandom) => string | undefined;

export const MOBILE_ACTIONS: { readonly [name in MobileActionName]: Action } = {
  move(world, random) {
    const daemon = random.pick(world.daemons);
    return moved(daemon, somewhere(daemon, random));
  },
  bothMove(world, random) {
    const [a, b] = random.shuffled(world.daemons) as [Daemon, Daemon];
    const first = moved(a, somewhere(a, random));
    const wait = random.pick([0, 1, 20, 300]);
    world.later(wait, () => moved(b, somewhere(b, random)));
    return `${first}, ${b.name} ${wait} ms later`;
  },
  hop(world, random) {
    const daemon = random.pick(world.daemons);
    const times = 2 + random.below(5);
    for (let i = 0; i < times; i++) {
      const to = random.chance(0.3) ? daemon.machine.addresses : somewhere(daemon, random);
      world.later(random.below(1000), () => moved(daemon, to));
    }
    return `${daemon.name} ${times} times`;
  },
  addAddress(world, random) {
    const daemon = random.pick(world.daemons);
    const others = poolOf(daemon).filter((one) => !daemon.addresses.includes(one));
    if (others.length === 0) return undefined;
    return moved(daemon, random.shuffled([...daemon.addresses, random.pick(others)]));
  },
  dropAddress(world, random) {
    const daemon = random.pick(world.daemons);
    if (daemon.addresses.length < 2) return undefined;
    const gone = random.pick(daemon.addresses);
    return moved(
      daemon,
      daemon.addresses.filter((one) => one !== gone),
    );
  },
  gone(world, random) {
    const daemon = random.pick(world.daemons);
    const before = daemon.addresses;
    const millis = random.pick([50, 1000, 10_000, 40_000]);
    moved(daemon, []);
    const after = random.chance(0.5) && before.length > 0 ? before : somewhere(daemon, random);
    world.later(millis, () => {
      if (daemon.addresses.length === 0) moved(daemon, after);
    });
    return `${daemon.name} for ${millis} ms`;
  },
  otherFamily(world, random) {
    const daemon = random.pick(world.daemons);
    const v6 = daemon.addresses.some((one) => one.includes(":"));
    const others = poolOf(daemon).filter((one) => one.includes(":") !== v6);
    return others.length === 0 ? undefined : moved(daemon, [random.pick(others)]);
  },
  comeHome(world, random) {
    const daemon = random.pick(world.daemons);
    return moved(daemon, daemon.machine.addresses);
  },
  eat(world, random) {
    const ways = someWays(world, random);
    const millis = random.pick([300, 2000, 15_000, 60_000]);
    for (const [from, to] of ways) {
      world.network.link(from, to, { eatsAbove: 0 });
      world.later(millis, () => world.network.link(from, to, { eatsAbove: undefined }));
    }
    return `${textOf(ways)} for ${millis} ms`;
  },
  eatLarge(world, random) {
    const ways = someWays(world, random);
    const limit = 600 + random.below(900);
    for (const [from, to] of ways) world.network.link(from, to, { eatsAbove: limit });
    return `${textOf(ways)} above ${limit}`;
  },
  narrow(world, random) {
    const ways = someWays(world, random);
    const mtu = random.pick([1280, 1400, 1500]);
    const icmp = random.chance(0.5);
    for (const [from, to] of ways) world.network.link(from, to, { mtu, icmp });
    return `${textOf(ways)} to ${mtu}${icmp ? "" : " without a word"}`;
  },
  farther(world, random) {
    const ways = someWays(world, random);
    const latency = random.pick([0.5, 5, 40, 250]);
    for (const [from, to] of ways) world.network.link(from, to, { latency });
    return `${textOf(ways)} ${latency} ms`;
  },
  rebind(world, random) {
    const nat = someNat(world, random);
    nat?.forget();
    return nat?.address;
  },
  renumberNat(world, random) {
    const nat = someNat(world, random);
    if (nat === undefined) return undefined;
    const last = Number(nat.address.split(".").at(-1));
    world.network.renumber(nat, `203.0.113.${last > 100 ? last - 100 : last + 100}`);
    return nat.address;
  },
  sleep(world, random) {
    const daemon = random.pick(world.daemons);
    const millis = random.pick([200, 4000, 30_000]);
    daemon.sleep();
    world.queue.after(millis, () => daemon.wake());
    return `${daemon.name} for ${millis} ms`;
  },
  sleepAndMove(world, random) {
    const daemon = random.pick(world.daemons);
    const millis = random.pick([200, 4000, 30_000]);
    daemon.sleep();
    const to = somewhere(daemon, random);
    world.later(random.below(millis), () => moved(daemon, to));
    world.queue.after(millis, () => daemon.wake());
    return `${daemon.name} for ${millis} ms`;
  },
  amnesia(world, random) {
    const daemon = random.pick(world.daemons);
    daemon.crash();
    daemon.loseState();
    daemon.boot();
    return daemon.name;
  },
  handover(world, random) {
    const [a, b] = random.shuffled(world.daemons) as [Daemon, Daemon];
    const any = random.chance(0.2);
    const from = any || random.chance(0.5) ? undefined : random.pick(poolOf(a));
    const to = any ? undefined : random.pick(poolOf(b));
    const timeoutMillis = 1000 + random.below(10_000);
    a.request({ type: "handover", peer: b.name, from, to, timeoutMillis }, timeoutMillis);
    return `${a.name} to ${b.name}: ${from ?? "any"} > ${to ?? "any"}`;
  },
  prefer(world, random) {
    const daemon = random.pick(world.daemons);
    const address = random.chance(0.3) ? undefined : random.pick(poolOf(daemon));
    daemon.request({ type: "locator-prefer", address }, 1000);
    return `${daemon.name} ${address ?? "any"}`;
  },
};

function poolOf({ machine }: Daemon): readonly string[] {
  return machine.pool ?? machine.addresses;
}

/** One to three addresses out of all that the machine may have. */
function somewhere(daemon: Daemon, random: SeededRandom): readonly string[] {
  return random.shuffled(poolOf(daemon)).slice(0, random.pick([1, 1, 1, 2, 3]));
}

function moved(daemon: Daemon, addresses: readonly string[]): string {
  daemon.move(addresses);
  return `${daemon.name} to ${addresses.join(" ") || "nowhere"}`;
}

/** Ways between addresses of two machines, in one direction or both; or all ways that leave one address. */
function someWays(world: World, random: SeededRandom): readonly (readonly [string, string])[] {
  const [a, b] = random.shuffled(world.daemons) as [Daemon, Daemon];
  const v6 = random.chance(0.4);
  const ofFamily = (daemon: Daemon): readonly string[] => {
    const all = random.chance(0.7) ? daemon.addresses : poolOf(daemon);
    return all.filter((one) => one.includes(":") === v6);
  };
  const [from, to] = [ofFamily(a), ofFamily(b)];
  if (from.length === 0 || to.length === 0) return [];
  const one = random.pick(from);
  const others = random.chance(0.5) ? [random.pick(to)] : to;
  const ways = others.map((other) => [one, publicOf(world, other)] as const);
  if (random.chance(0.5)) return ways;
  return [...ways, ...others.map((other) => [other, publicOf(world, one)] as const)];
}

function publicOf(world: World, address: string): string {
  return isInside(address) ? (world.network.natOf(address)?.address ?? address) : address;
}

function someNat(world: World, random: SeededRandom): Nat | undefined {
  const inside = world.daemons.filter(({ machine }) => machine.behindNat);
  if (inside.length === 0) return undefined;
  return world.network.natOf(random.pick(inside).machine.addresses[0] as string);
}

function textOf(ways: readonly (readonly [string, string])[]): string {
  return ways.map(([from, to]) => `${from}>${to}`).join(" ");
}
