/** The underlay: addresses, latency, loss in bursts, duplicates, reordering, partitions, NATs and an MTU. All from one seed. */
import type { Carrier, Endpoint, Path } from "../../src/core/types.ts";
import type { EventQueue } from "./clock.ts";
import type { Nat } from "./nat.ts";
import type { SealedMessage } from "./plane.ts";
import type { SeededRandom } from "./random.ts";

/** What travels: a HIP packet as bytes, or ESP as the in-memory data plane makes it. */
export type Payload =
  | { readonly kind: "hip"; readonly bytes: Uint8Array }
  | { readonly kind: "esp"; readonly esp: SealedMessage };

export interface Packet {
  readonly carrier: Carrier;
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly payload: Payload;
}

/** Who is reachable at an address. */
export interface Station {
  readonly name: string;
  receive(path: Path, payload: Payload): void;
}

/** What happened to a packet on its way. */
export type Fate =
  | "sent"
  | "delivered"
  | "lost"
  | "partitioned"
  | "duplicated"
  | "nat_filtered"
  | "nat_protocol"
  | "no_host"
  | "too_big"
  | "eaten";

/** Probabilities are per packet; times in milliseconds. */
export interface Faults {
  readonly loss: number;
  /** Chance that a burst of loss begins, and its mean length in packets. */
  readonly burst: number;
  readonly burstLength: number;
  readonly duplicate: number;
  readonly reorder: number;
  readonly jitter: number;
}

/** What is special about the way from one address to another. */
export interface Link {
  /** Bytes of a whole packet above which it vanishes without a word; 0: every packet does. */
  readonly eatsAbove?: number | undefined;
  /** Largest packet that is carried whole. */
  readonly mtu?: number | undefined;
  /** Whether whoever sends a larger one is told. */
  readonly icmp?: boolean | undefined;
  /** Milliseconds one way, in place of what is usual between the two. */
  readonly latency?: number | undefined;
}

export const NO_FAULTS: Faults = { loss: 0, burst: 0, burstLength: 1, duplicate: 0, reorder: 0, jitter: 0 };

/** Bytes of an IPv4 and a UDP header. */
export const OVERHEAD = 28;

export interface NetworkHooks {
  /** Sees every packet and what becomes of it; `from` and `to` are names of stations or "". */
  fate(packet: Packet, fate: Fate, from: string, to: string): void;
  /** ICMP reaches the host that sent too large a packet to this address. */
  tooBig(from: string, destination: string, mtu: number): void;
}

export class Network {
  faults: Faults = NO_FAULTS;
  mtu = 1500;
  /** A story loses exactly the packets that it wants. */
  loses: ((packet: Packet, from: string, to: string) => boolean) | undefined;
  readonly #queue: EventQueue;
  readonly #random: SeededRandom;
  readonly #hooks: NetworkHooks;
  readonly #stations = new Map<string, Station>();
  readonly #natOf = new Map<string, Nat>();
  readonly #natAt = new Map<string, Nat>();
  readonly #latency = new Map<string, number>();
  readonly #cut = new Set<string>();
  readonly #bursts = new Map<string, number>();
  readonly #links = new Map<string, Link>();

  constructor(queue: EventQueue, random: SeededRandom, hooks: NetworkHooks) {
    this.#queue = queue;
    this.#random = random;
    this.#hooks = hooks;
  }

  attach(address: string, station: Station): void {
    this.#stations.set(address, station);
  }

  detach(address: string): void {
    this.#stations.delete(address);
  }

  /** Changes the way from one address to another, in this direction; undefined: it is like any other again. */
  link(from: string, to: string, link: Link | undefined): void {
    if (link === undefined) this.#links.delete(`${from}>${to}`);
    else this.#links.set(`${from}>${to}`, { ...this.#links.get(`${from}>${to}`), ...link });
  }

  natOf(inside: string): Nat | undefined {
    return this.#natOf.get(inside);
  }

  /** The NAT gets another public address, and with it every mapping a new one. */
  renumber(nat: Nat, address: string): void {
    this.#natAt.delete(nat.address);
    nat.renumber(address);
    this.#natAt.set(address, nat);
  }

  /** Puts an inside address behind a NAT. */
  attachNat(inside: string, nat: Nat): void {
    this.#natOf.set(inside, nat);
    this.#natAt.set(nat.address, nat);
  }

  partition(a: string, b: string): void {
    this.#cut.add(pair(a, b));
  }

  heal(a: string, b: string): void {
    this.#cut.delete(pair(a, b));
  }

  /** Ends every fault. NATs stay: they are topology. */
  calm(): void {
    this.faults = NO_FAULTS;
    this.#cut.clear();
    this.#bursts.clear();
    for (const [key, link] of [...this.#links]) this.#links.set(key, { ...link, eatsAbove: undefined });
  }

  /** A packet leaves `from`. `source` may be forged. */
  send(from: string, sent: Packet): void {
    this.#hooks.fate(sent, "sent", from, "");
    const packet = this.#translate(sent);
    if (packet === undefined) {
      this.#hooks.fate(sent, "nat_protocol", from, "");
      return;
    }
    const to = this.#stationAt(packet.destination)?.name ?? "";
    const link = this.#links.get(`${sent.source.address}>${packet.destination.address}`);
    const whole = sizeOf(packet.payload) + OVERHEAD;
    const mtu = Math.min(link?.mtu ?? this.mtu, this.mtu);
    if (whole > mtu && packet.payload.kind === "esp") {
      this.#hooks.fate(packet, "too_big", from, to);
      if (link?.icmp === true) {
        const { address } = packet.destination;
        this.#queue.after(2 * this.#latencyOf(link, from, to), () => this.#hooks.tooBig(from, address, mtu));
      }
      return;
    }
    if (link?.eatsAbove !== undefined && whole > link.eatsAbove) {
      this.#hooks.fate(packet, "eaten", from, to);
      return;
    }
    if (this.#cut.has(pair(from, to))) {
      this.#hooks.fate(packet, "partitioned", from, to);
      return;
    }
    if (this.loses?.(packet, from, to) === true) {
      this.#hooks.fate(packet, "lost", from, to);
      return;
    }
    // What is longer than the MTU travels in fragments; each can be lost.
    const fragments = Math.ceil((sizeOf(packet.payload) + OVERHEAD) / this.mtu);
    for (let i = 0; i < fragments; i++) {
      if (this.#lost(from, to)) {
        this.#hooks.fate(packet, "lost", from, to);
        return;
      }
    }
    const latency = this.#latencyOf(link, from, to);
    this.#deliverLater(packet, from, latency);
    if (this.#random.chance(this.faults.duplicate)) {
      this.#hooks.fate(packet, "duplicated", from, to);
      this.#deliverLater(packet, from, latency);
    }
  }

  #translate(packet: Packet): Packet | undefined {
    const nat = this.#natOf.get(packet.source.address);
    if (nat === undefined) return packet;
    if (packet.carrier === "none") return undefined;
    return { ...packet, source: nat.outbound(packet.source, packet.destination, this.#queue.now) };
  }

  #stationAt(destination: Endpoint): Station | undefined {
    const nat = this.#natAt.get(destination.address);
    if (nat === undefined)
      return this.#natOf.has(destination.address) ? undefined : this.#stations.get(destination.address);
    for (const [inside, of] of this.#natOf) if (of === nat) return this.#stations.get(inside);
    return undefined;
  }

  #lost(from: string, to: string): boolean {
    const link = `${from}>${to}`;
    const left = this.#bursts.get(link) ?? 0;
    if (left > 0) {
      this.#bursts.set(link, left - 1);
      return true;
    }
    if (this.#random.chance(this.faults.burst)) {
      this.#bursts.set(link, Math.ceil(this.#random.exponential(this.faults.burstLength)));
      return true;
    }
    return this.#random.chance(this.faults.loss);
  }

  #latencyOf(link: Link | undefined, from: string, to: string): number {
    const usual = this.#baseLatency(from, to);
    return link?.latency ?? usual;
  }

  #deliverLater(packet: Packet, from: string, latency: number): void {
    let delay = latency + this.#random.float() * this.faults.jitter;
    if (this.#random.chance(this.faults.reorder)) delay += this.#random.exponential(delay * 3);
    this.#queue.after(round(delay), () => this.#deliver(packet, from));
  }

  #deliver(packet: Packet, from: string): void {
    const nat = this.#natAt.get(packet.destination.address);
    let { destination } = packet;
    if (nat !== undefined) {
      const inside =
        packet.carrier === "none"
          ? undefined
          : nat.inbound(packet.destination.port, packet.source, this.#queue.now);
      if (inside === undefined) {
        this.#hooks.fate(packet, "nat_filtered", from, "");
        return;
      }
      destination = inside;
    } else if (this.#natOf.has(destination.address)) {
      // Out here such an address is somebody else's, or nobody's.
      this.#hooks.fate(packet, "no_host", from, "");
      return;
    }
    const station = this.#stations.get(destination.address);
    if (station === undefined) {
      this.#hooks.fate(packet, "no_host", from, "");
      return;
    }
    this.#hooks.fate(packet, "delivered", from, station.name);
    station.receive({ carrier: packet.carrier, local: destination, remote: packet.source }, packet.payload);
  }

  #baseLatency(from: string, to: string): number {
    const key = pair(from, to);
    let latency = this.#latency.get(key);
    if (latency === undefined) {
      latency = 0.2 + this.#random.exponential(15);
      this.#latency.set(key, latency);
    }
    return latency;
  }
}

export function sizeOf(payload: Payload): number {
  return payload.kind === "hip" ? payload.bytes.length : payload.esp.size;
}

/** Microseconds are fine enough, and the same on every machine. */
function round(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

function pair(a: string, b: string): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`;
}
