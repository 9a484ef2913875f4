/** A world from a seed: machines, who may talk to whom, the underlay between them, and how long it all goes on. */
import { parsePrefix } from "../../src/core/ip.ts";
import type { Carrier, Endpoint, Hit } from "../../src/core/types.ts";
import type { Identity } from "../../src/crypto/identity.ts";
import { DEFAULT_CONFIG, type HostConfig, type PuzzlePolicy } from "../../src/hip/config.ts";
import type { InnerFamily } from "../../src/hip/sa.ts";
import type { PeerConfig } from "../../src/overlay/config.ts";
import { EventQueue } from "./clock.ts";
import { Daemon, type Machine } from "./daemon.ts";
import { Invariants } from "./invariants.ts";
import { simIdentity } from "./jobs.ts";
import { isInside, MOBILE_SHARE, mobileMachine } from "./mobile.ts";
import { Nat, type NatBehaviour } from "./nat.ts";
import { type Faults, Network, NO_FAULTS, type Packet } from "./network.ts";
import type { Message } from "./plane.ts";
import { SeededRandom } from "./random.ts";
import { Trace } from "./trace.ts";

export const NAMES = ["alice", "bob", "carol", "dave", "erin"] as const;
/** HIP and ESP packets that an eavesdropper remembers. */
const CAPTURED = 64;

/** Two hosts that know each other: the same thing seen from both ends. */
export interface Pair {
  readonly a: Daemon;
  readonly b: Daemon;
}

export interface WorldOptions {
  /** Machines; by default the seed decides. */
  readonly hosts?: number;
  readonly faults?: Faults;
  /** Changes to the protocol's settings of each host. */
  readonly host?: Partial<HostConfig>;
  /** No NATs, one carrier, everybody knows everybody: for stories that a test tells. */
  readonly plain?: boolean;
  readonly carrier?: Carrier;
  readonly keys?: "ecdsa-p256" | "ed25519";
  /** Whether machines move; by default the seed decides, and in plain worlds they do not. */
  readonly mobile?: boolean;
  /** Addresses at the beginning, machine by machine, for stories. */
  readonly addresses?: readonly (readonly string[])[];
}

export interface Activity {
  readonly handovers: number;
  /** HIP packets. */
  readonly packets: number;
  /** Inputs of daemons. */
  readonly turns: number;
  /** Data that a link did not carry because they were too large. */
  readonly oversized: number;
}

export class World {
  readonly seed: number | string;
  readonly random: SeededRandom;
  readonly queue = new EventQueue();
  readonly trace = new Trace();
  readonly invariants: Invariants;
  readonly network: Network;
  readonly daemons: readonly Daemon[];
  readonly captured: Packet[] = [];
  readonly mobile: boolean;
  /** Mean time of a crypto job in milliseconds. */
  jobDelay = 1;
  /** Faults and moves are over. */
  calm = false;
  /** Sees every message that arrives. */
  onDelivered: (from: Daemon, to: Daemon, message: Message) => void = () => undefined;
  readonly #arrived = new Map<string, number>();
  #messages = 0;
  #hipPackets = 0;
  #oversized = 0;

  constructor(seed: number | string, options: WorldOptions = {}) {
    this.seed = seed;
    this.random = new SeededRandom(seed);
    const random = this.random.fork("world");
    this.invariants = new Invariants(() => this.queue.now);
    this.network = new Network(this.queue, this.random.fork("network"), {
      fate: (packet, fate, from, to) => {
        this.trace.packet(this.queue.now, packet, fate, from, to);
        const { source, payload } = packet;
        if (fate === "too_big" && payload.kind === "esp" && payload.esp.message.kind === "data")
          this.#oversized++;
        if (fate === "delivered" && isStranger(source.address))
          this.invariants.strangerHeard(source.address, payload);
        if (fate !== "sent") return;
        this.#capture(packet);
        if (payload.kind === "hip") this.#hipPackets++;
        if (this.daemons.some(({ name }) => name === from)) this.invariants.transmitted(from, packet);
      },
      tooBig: (from, destination, mtu) =>
        this.daemons.find(({ name }) => name === from)?.plane?.tooBig(destination, mtu),
    });
    const count = options.hosts ?? Number(random.weighted({ 2: 50, 3: 30, 4: 14, 5: 6 }));
    // Apart from the rest: worlds without moves stay as they were.
    const roads = new SeededRandom(`${seed}/mobile`);
    this.mobile = options.mobile ?? (options.plain !== true && roads.chance(MOBILE_SHARE));
    const machines = Array.from({ length: count }, (_, i) => {
      const machine = makeMachine(i, random, options);
      if (!this.mobile) return machine;
      return options.plain === true ? plainMobile(machine, i, options) : mobileMachine(machine, i, roads);
    });
    this.daemons = machines.map(
      (machine) =>
        new Daemon(machine, {
          queue: this.queue,
          network: this.network,
          random: this.random.fork(machine.name),
          trace: this.trace,
          invariants: this.invariants,
          jobDelay: () => this.jobDelay,
          delivered: (to, from, message) => this.#delivered(to, from, message),
        }),
    );
    this.#connect(random, roads);
    this.#introduce(random, options);
    this.network.faults = options.faults ?? NO_FAULTS;
    this.trace.action(0, "", `world ${seed}`);
  }

  /** A machine by its name; a story that names another one is wrong. */
  daemon(name: string): Daemon {
    const found = this.daemons.find((daemon) => daemon.name === name);
    if (found === undefined) throw new Error(`no machine is called ${name}`);
    return found;
  }

  bootAll(): void {
    for (const daemon of this.daemons) daemon.boot();
  }

  /** Does something after `millis`, unless everything has become calm by then. */
  later(millis: number, task: () => void): void {
    this.queue.after(millis, () => {
      if (!this.calm) task();
    });
  }

  /** Lets `millis` pass, or less when `until` comes true. False: it did not. Exceptions become breaches. */
  run(millis: number, until?: () => boolean): boolean {
    const end = this.queue.now + millis;
    for (;;) {
      try {
        return this.queue.run(end, until);
      } catch (error) {
        this.invariants.breach(
          `exception: ${error instanceof Error ? (error.stack ?? error.message) : error}`,
        );
        if (this.invariants.breaches.length > 5) return false; // Else the world goes on: there may be more to learn.
      }
    }
  }

  /** An application on `a` sends to `b`. */
  say(a: Daemon, b: Daemon, family: InnerFamily = "hit", size = 100): number {
    const id = ++this.#messages;
    const hit = this.hitOf(a, b);
    const lsi = hit === undefined ? undefined : a.overlay?.peers.byHit(hit)?.lsi;
    const to = family === "lsi" ? lsi : hit;
    if (to === undefined) return id;
    const sentAt = this.queue.now;
    const message: Message = { id, kind: "data", family, size, sequence: 0, sentAt };
    this.invariants.applicationSent({ from: a.name, to: b.name, message });
    a.send(to, message);
    return id;
  }

  /** When something from `a` last reached `b`. */
  heard(a: Daemon, b: Daemon): number | undefined {
    return this.#arrived.get(`${a.name}>${b.name}`);
  }

  /** The identity under which `a` knows `b`. */
  hitOf(a: Daemon, b: Daemon): Hit | undefined {
    return a.expectedPeers().find(({ hit }) => hit !== undefined && b.owns(hit))?.hit;
  }

  /** Pairs that both ends have configured, so that they must be able to talk. */
  permitted(): readonly Pair[] {
    const pairs: Pair[] = [];
    for (const [i, a] of this.daemons.entries()) {
      for (const b of this.daemons.slice(i + 1)) {
        const ab = entry(a, b);
        const ba = entry(b, a);
        const reachable = (ab?.locators.length ?? 0) > 0 || (ba?.locators.length ?? 0) > 0;
        if (ab !== undefined && ba !== undefined && reachable) pairs.push({ a, b });
      }
    }
    return pairs;
  }

  /** What has happened so far. */
  activity(): Activity {
    const { counts } = this.trace;
    return {
      handovers: counts.get("event handover") ?? 0,
      packets: this.#hipPackets,
      turns: this.invariants.inputs,
      oversized: this.#oversized,
    };
  }

  #capture(packet: Packet): void {
    this.captured.push(packet);
    if (this.captured.length > CAPTURED) this.captured.shift();
  }

  #delivered(to: Daemon, from: Hit, message: Message): void {
    const sender = this.daemons.find((daemon) => daemon.owns(from));
    if (sender === undefined) return;
    this.#arrived.set(`${sender.name}>${to.name}`, this.queue.now);
    this.onDelivered(sender, to, message);
  }

  #connect(random: SeededRandom, roads: SeededRandom): void {
    for (const [i, daemon] of this.daemons.entries()) {
      const { addresses, behindNat, pool = addresses } = daemon.machine;
      for (const address of addresses) this.network.attach(address, daemon);
      if (!behindNat) continue;
      const expiry = this.mobile ? roads.pick([40_000, PATIENT_NAT]) : PATIENT_NAT;
      const nat = randomNat(`203.0.113.${i + 1}`, random, expiry);
      for (const inside of pool.filter(isInside)) this.network.attachNat(inside, nat);
    }
  }

  #introduce(random: SeededRandom, options: WorldOptions): void {
    for (const [i, a] of this.daemons.entries()) {
      for (const b of this.daemons.slice(i + 1)) {
        if (a.machine.behindNat && b.machine.behindNat) continue;
        const bothKnow = options.plain === true || random.chance(0.85);
        const nat = a.machine.behindNat || b.machine.behindNat;
        const carrier =
          options.carrier ?? (!nat && options.plain !== true && random.chance(0.25) ? "none" : "udp");
        const family: InnerFamily = random.chance(0.5) ? "hit" : "lsi";
        // The one that is shown and the one that is known must be the same.
        const hitA = options.plain === true ? a.hit : random.pick(a.machine.identities).hit;
        const hitB = options.plain === true ? b.hit : random.pick(b.machine.identities).hit;
        const common = { carrier, inboundFamily: family, source: "config", file: "hipd.toml" } as const;
        const locatorsOf = (daemon: Daemon, other: Daemon): readonly Endpoint[] =>
          makeLocators(daemon.machine, other.machine, carrier, random, options.plain === true);
        a.filePeers = [
          ...a.filePeers,
          { name: b.name, hit: hitB, localHit: hitA, locators: locatorsOf(b, a), ...common },
        ];
        if (!bothKnow) continue;
        b.filePeers = [
          ...b.filePeers,
          { name: a.name, hit: hitA, localHit: hitB, locators: locatorsOf(a, b), ...common },
        ];
      }
    }
  }
}

/** Addresses where nobody is: whoever sends from there is not one of us. */
export function strangerAddress(random: SeededRandom): string {
  return `198.51.100.${1 + random.below(200)}`;
}

function isStranger(address: string): boolean {
  return address.startsWith("198.51.100.");
}

/** What `a` has configured about `b`. */
export function entry(a: Daemon, b: Daemon): PeerConfig | undefined {
  return a.expectedPeers().find(({ hit }) => hit !== undefined && b.owns(hit));
}

function makeMachine(index: number, random: SeededRandom, options: WorldOptions): Machine {
  const name = NAMES[index] as string;
  const plain = options.plain === true;
  const behindNat = !plain && index > 0 && random.chance(0.12);
  const identities: Identity[] = [simIdentity(options.keys ?? keyKind(random), index)];
  if (!plain && random.chance(0.1)) identities.push(simIdentity(keyKind(random), index + NAMES.length));
  const v6 = !behindNat && (plain || random.chance(0.5));
  const v4 = behindNat ? `192.168.${index + 1}.2` : `10.0.${index + 1}.1`;
  const port = plain || random.chance(0.8) ? 10500 : 20_000 + index;
  const prefix = parsePrefix(random.chance(0.3) ? "10.99.0.0/28" : "198.18.0.0/15");
  if (!prefix.ok) throw new Error(prefix.error);
  return {
    name,
    identities,
    addresses: v6 ? [v4, `2001:db8:${index + 1}::1`] : [v4],
    port,
    behindNat,
    lsiPrefix: prefix.value,
    host: { ...makeHostConfig(random, plain), udpPort: port, ...options.host },
  };
}

/** For stories: the addresses that they want, and times that the protocol has by default. */
function plainMobile(machine: Machine, index: number, options: WorldOptions): Machine {
  const addresses = options.addresses?.[index] ?? machine.addresses;
  return { ...machine, addresses, pool: addresses, mobile: true };
}

function keyKind(random: SeededRandom): "ecdsa-p256" | "ed25519" {
  return random.chance(0.75) ? "ecdsa-p256" : "ed25519";
}

function makeHostConfig(random: SeededRandom, plain: boolean): HostConfig {
  // The larger groups cost too much time to be in every world.
  const cheap = { ...DEFAULT_CONFIG, dhGroups: [7], puzzle: { ...DEFAULT_CONFIG.puzzle, idleK: 1 } };
  if (plain) return cheap;
  const shortLived = random.chance(0.3);
  return {
    ...cheap,
    dhGroups: random.chance(0.1)
      ? random.pick([
          [9, 7],
          [8, 7],
          [7, 9, 8],
        ] as const)
      : [7],
    hipCiphers: random.chance(0.3) ? [4, 2] : [2, 4],
    espSuites: random.pick([[13, 12, 9, 8], [13], [9, 13], [8, 9, 13]] as const),
    encryptHostId: random.chance(0.5),
    offerLsiSpi: true,
    domainIdentifier: random.chance(0.2)
      ? { type: 1, value: Uint8Array.of(97, 46, 98) }
      : DEFAULT_CONFIG.domainIdentifier,
    opportunistic: random.chance(0.15),
    maxJobs: random.chance(0.1) ? 6 + random.below(6) : DEFAULT_CONFIG.maxJobs,
    r1PerAddress: random.chance(0.1) ? 2 : DEFAULT_CONFIG.r1PerAddress,
    retries: random.chance(0.1) ? { i1: 2, i2: 2, update: 3 } : DEFAULT_CONFIG.retries,
    puzzle: makePuzzle(random),
    softPackets: random.chance(0.25) ? 4 + random.below(60) : DEFAULT_CONFIG.softPackets,
    rekeyWithDh: random.chance(0.5),
    timers: {
      ...DEFAULT_CONFIG.timers,
      ...(shortLived ? SHORT_TIMERS : {}),
      rekeyAfter: random.chance(0.15) ? 4000 + random.below(20_000) : DEFAULT_CONFIG.timers.rekeyAfter,
    },
  };
}

/** Times that let a world see closed and forgotten associations and R1s. */
const SHORT_TIMERS = {
  unusedAssociationLifetime: 12_000,
  maximumSegmentLifetime: 3_000,
  r1Offered: 20_000,
  r1Remembered: 10_000,
};

function makePuzzle(random: SeededRandom): PuzzlePolicy {
  const puzzle = { ...DEFAULT_CONFIG.puzzle, idleK: random.below(6) };
  return random.chance(0.2) ? { ...puzzle, easyRate: 1, loadedK: 8 } : puzzle;
}

function makeLocators(
  machine: Machine,
  other: Machine,
  carrier: Carrier,
  random: SeededRandom,
  plain: boolean,
): readonly Endpoint[] {
  // Nobody can call a host behind a NAT first.
  if (machine.behindNat) return [];
  const port = carrier === "none" ? 0 : machine.port;
  const otherHasV6 = other.addresses.some((address) => address.includes(":"));
  const usable = machine.addresses
    .filter((address) => otherHasV6 || !address.includes(":"))
    .map((address) => ({ address, port }));
  if (plain) return usable.slice(0, 1);
  const list = random.shuffled(usable).slice(0, 1 + random.below(usable.length));
  return random.chance(0.1) ? [{ address: "203.0.113.99", port }, ...list] : list;
}

/** Longer than a world lives: without keepalives nothing can be promised behind a NAT that forgets. */
const PATIENT_NAT = 3_600_000;

function randomNat(address: string, random: SeededRandom, expiry: number): Nat {
  const behaviours: readonly NatBehaviour[] = ["endpoint", "address", "address-and-port"];
  return new Nat(address, {
    mapping: random.pick(behaviours),
    filtering: random.pick(behaviours),
    expiry,
  });
}
