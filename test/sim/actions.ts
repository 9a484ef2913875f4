/** What can happen in a world while faults are on. Each action is one line in the trace. */
import { parseHit } from "../../src/core/ip.ts";
import type { Hit } from "../../src/core/types.ts";
import type { PeerConfig } from "../../src/overlay/config.ts";
import { build } from "../../src/wire/packet.ts";
import { DH_GROUP_LIST } from "../../src/wire/rfc7401.ts";
import type { Daemon } from "./daemon.ts";
import { MOBILE_ACTIONS, MOBILE_WEIGHTS, type MobileActionName } from "./mobile-actions.ts";
import type { Packet } from "./network.ts";
import type { SeededRandom } from "./random.ts";
import { entry, strangerAddress, type World } from "./world.ts";

export const WEIGHTS = {
  send: 40,
  burst: 8,
  cross: 6,
  close: 4,
  connect: 4,
  ping: 3,
  reboot: 5,
  takeOver: 4,
  down: 1,
  partition: 4,
  heal: 4,
  removePeer: 3,
  addPeer: 3,
  reload: 2,
  carrier: 1,
  replay: 8,
  mutate: 8,
  spoof: 6,
  forgeEsp: 3,
  flood: 1,
  strangers: 3,
  slowJobs: 1,
  wallJump: 1,
} as const;

export type ActionName = keyof typeof WEIGHTS;

const ALL_WEIGHTS = { ...WEIGHTS, ...MOBILE_WEIGHTS };

/** Does one thing, chosen by the seed. */
export function act(
  world: World,
  random: SeededRandom,
  name: ActionName | MobileActionName = random.weighted(world.mobile ? ALL_WEIGHTS : WEIGHTS),
): void {
  const what = ALL_ACTIONS[name](world, random);
  if (what === undefined) return;
  world.trace.action(world.queue.now, "", `${name}: ${what}`);
  world.trace.count(`action ${name}`);
}

/** A line for the trace, or undefined when there was nothing to do. */
type Action = (world: World, random: SeededRandom) => string | undefined;

const ACTIONS: { readonly [name in ActionName]: Action } = {
  send(world, random) {
    const [a, b] = twoOf(world, random);
    world.say(a, b, random.chance(0.5) ? "hit" : "lsi", 20 + random.below(1200));
    return `${a.name} -> ${b.name}`;
  },
  burst(world, random) {
    const [a, b] = twoOf(world, random);
    const count = 2 + random.below(30);
    for (let i = 0; i < count; i++) world.say(a, b, random.chance(0.5) ? "hit" : "lsi");
    return `${count} from ${a.name} to ${b.name}`;
  },
  cross(world, random) {
    const [a, b] = twoOf(world, random);
    world.say(a, b);
    world.queue.after(random.between(0, 20), () => world.say(b, a));
    return `${a.name} and ${b.name} to each other`;
  },
  close(world, random) {
    const [a, b] = twoOf(world, random);
    a.request({ type: "association-close", peer: b.name }, 0);
    return `${a.name} closes ${b.name}`;
  },
  connect(world, random) {
    const [a, b] = twoOf(world, random);
    const timeoutMillis = 100 + random.below(20_000);
    a.request({ type: "connect", peer: b.name, timeoutMillis }, timeoutMillis);
    return `${a.name} to ${b.name} within ${timeoutMillis} ms`;
  },
  ping(world, random) {
    const [a, b] = twoOf(world, random);
    const request = {
      type: "ping",
      peer: b.name,
      count: 3,
      intervalMillis: 500,
      bytes: 56,
      timeoutMillis: 3000,
    } as const;
    a.request(request, 8000);
    return `${a.name} to ${b.name}`;
  },
  reboot(world, random) {
    const daemon = random.pick(world.daemons);
    daemon.crash();
    daemon.boot();
    return daemon.name;
  },
  takeOver(world, random) {
    const daemon = random.pick(world.daemons);
    const millis = random.pick([0, 5, 100, 1000]);
    daemon.takeOver(millis);
    return `${daemon.name} within ${millis} ms`;
  },
  down(world, random) {
    const daemon = random.pick(world.daemons);
    const millis = random.below(8000);
    daemon.crash();
    world.queue.after(millis, () => daemon.boot());
    return `${daemon.name} for ${millis} ms`;
  },
  partition(world, random) {
    const [a, b] = twoOf(world, random);
    const millis = random.below(30_000);
    world.network.partition(a.name, b.name);
    world.queue.after(millis, () => world.network.heal(a.name, b.name));
    return `${a.name} from ${b.name} for ${millis} ms`;
  },
  heal(world, random) {
    const [a, b] = twoOf(world, random);
    world.network.heal(a.name, b.name);
    return `${a.name} and ${b.name}`;
  },
  removePeer(world, random) {
    const [a, b] = twoOf(world, random);
    if (entry(a, b) === undefined) return undefined;
    const keep = random.chance(0.3);
    a.removePeer(b.name, keep);
    return `${b.name} at ${a.name}${keep ? " for ever" : ""}`;
  },
  addPeer(world, random) {
    const [a, b] = twoOf(world, random);
    if (entry(a, b) !== undefined) return undefined;
    const known = [...a.filePeers, ...a.keptPeers].find(({ name }) => name === b.name);
    const peer = known ?? mirrored(world, a, b);
    if (peer === undefined) return undefined;
    const keep = known === undefined && random.chance(0.5);
    a.addPeer(peer, keep);
    return `${b.name} at ${a.name}${keep ? " for ever" : ""}`;
  },
  reload(world, random) {
    const a = random.pick(world.daemons);
    if (!a.running) return undefined;
    if (random.chance(0.5)) a.filePeers = random.shuffled(a.filePeers);
    else a.filePeers = a.filePeers.map((peer) => ({ ...peer, locators: random.shuffled(peer.locators) }));
    a.reload();
    return a.name;
  },
  carrier(world, random) {
    const [a, b] = twoOf(world, random);
    if (a.machine.behindNat || b.machine.behindNat) return undefined;
    const carrier = random.pick(["udp", "none"] as const);
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const port = carrier === "none" ? 0 : other.machine.port;
      one.filePeers = one.filePeers.map((peer) =>
        peer.name === other.name
          ? { ...peer, carrier, locators: peer.locators.map(({ address }) => ({ address, port })) }
          : peer,
      );
      one.reload();
    }
    return `${carrier} between ${a.name} and ${b.name}`;
  },
  replay(world, random) {
    const packet = pickCaptured(world, random);
    if (packet === undefined) return undefined;
    world.network.send("mallory", packet);
    return text(packet);
  },
  mutate(world, random) {
    const packet = pickCaptured(world, random, "hip");
    if (packet === undefined || packet.payload.kind !== "hip") return undefined;
    const bytes = packet.payload.bytes.slice();
    const flips = 1 + random.below(3);
    for (let i = 0; i < flips; i++) {
      const at = random.below(bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    }
    // Whoever can change a packet can fix its checksum, or leave it.
    world.network.send("mallory", { ...packet, payload: { kind: "hip", bytes } });
    return `${flips} bits of ${text(packet)}`;
  },
  spoof(world, random) {
    const packet = pickCaptured(world, random);
    if (packet === undefined) return undefined;
    const source = random.chance(0.5)
      ? { ...packet.source, port: packet.carrier === "udp" ? 1024 + random.below(60_000) : 0 }
      : { ...packet.source, address: random.pick(world.daemons).machine.addresses[0] as string };
    world.network.send("mallory", { ...packet, source });
    return `${text(packet)} from ${source.address}`;
  },
  forgeEsp(world, random) {
    const packet = pickCaptured(world, random, "esp");
    if (packet === undefined || packet.payload.kind !== "esp") return undefined;
    const { esp } = packet.payload;
    const sequence = esp.sequence + random.below(100);
    world.network.send("mallory", {
      ...packet,
      payload: { kind: "esp", esp: { ...esp, sequence, key: "guessed" } },
    });
    return `sequence ${sequence}`;
  },
  flood(world, random) {
    const target = random.pick(world.daemons);
    const count = 20 + random.below(200);
    const known = random.chance(0.5);
    for (let i = 0; i < count; i++) {
      const sender = known ? random.pick(world.daemons).hit : randomHit(random);
      world.queue.after(i * 2, () => strangerI1(world, random, target, sender));
    }
    return `${count} I1s to ${target.name}`;
  },
  strangers(world, random) {
    const target = random.pick(world.daemons);
    const packet = pickCaptured(world, random);
    if (packet === undefined || target.machine.behindNat) return undefined;
    const source = { address: strangerAddress(random), port: packet.carrier === "udp" ? 10500 : 0 };
    const sent = { ...packet, source };
    world.network.send("mallory", sent);
    return `${text(packet)} from ${source.address}`;
  },
  slowJobs(world, random) {
    world.jobDelay = random.pick([20, 200, 800]);
    world.queue.after(5000, () => {
      world.jobDelay = 1;
    });
    return `${world.jobDelay} ms`;
  },
  wallJump(world, random) {
    const daemon = random.pick(world.daemons);
    daemon.wallError += Math.floor(random.between(-86_400_000, 86_400_000));
    return daemon.name;
  },
};

const ALL_ACTIONS = { ...ACTIONS, ...MOBILE_ACTIONS };

function twoOf(world: World, random: SeededRandom): readonly [Daemon, Daemon] {
  const [a, b] = random.shuffled(world.daemons);
  return [a as Daemon, b as Daemon];
}

function pickCaptured(world: World, random: SeededRandom, kind?: "hip" | "esp"): Packet | undefined {
  const some =
    kind === undefined ? world.captured : world.captured.filter(({ payload }) => payload.kind === kind);
  return some.length === 0 ? undefined : random.pick(some);
}

/** `a` learns of `b` what `b` has about `a`, where `b` can be called. */
function mirrored(world: World, a: Daemon, b: Daemon): PeerConfig | undefined {
  const back = entry(b, a);
  if (back === undefined || b.machine.behindNat) return undefined;
  const port = back.carrier === "none" ? 0 : b.machine.port;
  const address = b.machine.addresses[0] as string;
  return {
    name: b.name,
    hit: back.localHit ?? b.hit,
    localHit: world.hitOf(b, a),
    carrier: back.carrier,
    locators: [{ address, port }],
    inboundFamily: back.inboundFamily,
    source: "runtime",
    file: "",
  };
}

function strangerI1(world: World, random: SeededRandom, target: Daemon, sender: Hit): void {
  if (target.machine.behindNat) return;
  const bytes = build({
    name: "I1",
    sender,
    receiver: target.hit,
    parameters: [DH_GROUP_LIST.of({ groups: [7] })],
  });
  const source = { address: strangerAddress(random), port: 10500 };
  const destination = { address: target.machine.addresses[0] as string, port: target.machine.port };
  const payload = { kind: "hip", bytes } as const;
  world.network.send("mallory", { carrier: "udp", source, destination, payload });
}

function randomHit(random: SeededRandom): Hit {
  const digits = Array.from({ length: 24 }, () => random.below(16).toString(16)).join("");
  const hit = parseHit(`2001:22:${digits.replace(/(.{4})(?!$)/g, "$1:")}`);
  if (!hit.ok) throw new Error(hit.error);
  return hit.value;
}

function text(packet: Packet): string {
  return `${packet.payload.kind} to ${packet.destination.address}`;
}
