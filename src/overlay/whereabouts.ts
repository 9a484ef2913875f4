/** Where we are and where the peers were: what the protocol is told about it, what is kept, and whom to call after a start or a sleep. */
import { BoundedMap } from "../core/bounded.ts";
import {
  after,
  type Deadline,
  type Endpoint,
  earliest,
  endpointText,
  type Hit,
  type Instant,
  type Path,
} from "../core/types.ts";
import type { AssociationView, HostInput, HostOutput } from "../hip/io.ts";
import { DEFAULT_LOCATORS, type OverlayConfig } from "./config.ts";
import type { AnyEventDetail, AnyEventName } from "./event-catalogue.ts";
import type { Membership } from "./membership.ts";
import { type LocalAddress, OwnLocators } from "./own-locators.ts";
import { type Pace, PacedCalls } from "./pacing.ts";
import type { Peer, PeerTable } from "./peers.ts";
import { Sightings } from "./sightings.ts";
import { endpointOf, type SavedState } from "./state.ts";

/** After a start: exchanges with former peers that may run at once, so that own traffic is not behind thousands of them. */
export const RECONNECTS: Pace = { atOnce: 32, patience: 1_000 };
/** After a sleep: signs of life that are asked for at once. */
export const WAKE_CALLS: Pace = { atOnce: 64, patience: 50 };
/** A deadline that is met so much too late was slept through, in milliseconds. */
export const ASLEEP_AFTER = 5_000;
/** The list of associations is written at most so often, in milliseconds: a fixed part, and one for each entry. */
export const SAVE_INTERVAL = 200;
export const SAVE_INTERVAL_PER_PEER = 0.2;

/** A packet that we cannot open makes us call a peer at most this often, in milliseconds. */
export const HINT_INTERVAL = 1_000;
export const MAX_HINTED = 4_096;

/** Ends of associations that nobody wanted: the peer did not answer, or the association had to go. */
const UNHEARD: ReadonlySet<string> = new Set(["unreachable", "no_answer_to_update"]);
const FORGOTTEN = "forgotten";
/** Then it is called again after so long, in milliseconds: our CLOSE goes first. */
const CALL_AGAIN = 1_000;

/** What the cloud's metadata service says about this machine. */
export interface CloudFacts {
  /** "openstack", "aws", "gcp", "azure". */
  readonly provider: string;
  /** "" when it does not say. */
  readonly instance: string;
  /** Public addresses, IPv4 or IPv6. */
  readonly addresses: readonly string[];
}

/** A peer's word on where our packets come from. */
export type SeenAs = Pick<Extract<HostOutput, { type: "seen-as" }>, "peer" | "local" | "mapped">;

/** What this needs from the overlay. */
export interface WhereaboutsPort {
  readonly peers: PeerTable;
  readonly config: OverlayConfig;
  readonly now: Instant;
  readonly membership: Membership;
  association(peer: Peer): AssociationView | undefined;
  run(input: HostInput): void;
  event<N extends AnyEventName>(name: N, hit: Hit | undefined, detail: AnyEventDetail<N>): void;
  /** Where the protocol saw a peer last; undefined when it does not know. */
  lastLocators(peer: Hit): readonly Endpoint[] | undefined;
}

export class Whereabouts {
  readonly own: OwnLocators;
  readonly sightings = new Sightings();
  readonly #port: WhereaboutsPort;
  readonly #reconnects: PacedCalls;
  readonly #wakes: PacedCalls;
  /** Peers that there is, or after a start should be, an association with. */
  readonly #wanted: Set<Hit>;
  /** Those of them that did not answer, perhaps because the network was not there yet. */
  readonly #missed = new Set<Hit>();
  readonly #saved: ReadonlyMap<Hit, readonly Endpoint[]>;
  readonly #hinted = new BoundedMap<Hit, Instant>("hinted_peers", MAX_HINTED, "evict-oldest");
  #dirty = false;
  #savedAt: Instant | undefined;
  #stopping = false;
  #cloud: CloudFacts | undefined;
  #told = "";
  #inherited: readonly SeenAs[] = [];

  constructor(
    port: WhereaboutsPort,
    interfaceName: string,
    config: OverlayConfig,
    saved: SavedState | undefined,
  ) {
    this.#port = port;
    const ground = { interface: interfaceName, lsiPrefix: config.lsiPrefix };
    this.own = new OwnLocators(config.port, ground, config.locators ?? DEFAULT_LOCATORS);
    this.#saved = new Map(
      (saved?.associations ?? []).map(([hit, locators]) => [hit as Hit, locators.map(endpointOf)]),
    );
    this.#wanted = new Set(this.#saved.keys());
    this.#reconnects = new PacedCalls("call former peers", RECONNECTS, (peer) => this.#call(peer));
    this.#wakes = new PacedCalls("look who is there", WAKE_CALLS, (peer) =>
      port.run({ type: "probe", peer }),
    );
  }

  /** What peers told a predecessor about our addresses: good once we know which they are. */
  inherit(told: readonly SeenAs[]): void {
    this.#inherited = told;
  }

  /** The cloud's word, when there is one. */
  get cloudFacts(): CloudFacts | undefined {
    return this.#cloud;
  }

  /** A peer is known to the overlay: from now on it may be where it was before the restart. */
  peerKnown(hit: Hit): void {
    const peer = this.#port.peers.byHit(hit);
    const last = this.#saved.get(hit);
    if (peer !== undefined && last !== undefined) this.#port.peers.learn(peer, last);
  }

  /** All peers are known: who had an association with us is called, whoever speaks first. */
  start(): void {
    this.tell();
    const { peers, now } = this.#port;
    this.#reconnects.add(
      [...this.#wanted].filter((hit) => {
        const peer = peers.byHit(hit);
        return peer !== undefined && this.#port.association(peer) === undefined;
      }),
      now,
    );
  }

  configure(config: OverlayConfig): void {
    this.own.configure(config.locators ?? DEFAULT_LOCATORS);
    this.tell();
  }

  addresses(all: readonly LocalAddress[]): void {
    this.own.addresses(all, this.#port.now);
    for (const { peer, local, mapped } of this.#inherited) {
      this.sightings.add(peer, local, mapped, this.#port.now);
      this.own.seenAs(peer, local.address, mapped, this.#port.now);
    }
    this.#inherited = [];
    const present = new Set(all.map(({ address }) => address));
    this.sightings.keep((address) => present.has(address));
    this.tell();
  }

  cloud(facts: CloudFacts): void {
    const before = this.#cloud;
    this.#cloud = facts;
    this.own.cloud(facts.addresses);
    const text = facts.addresses.join(" ");
    if (before?.instance !== facts.instance || before.addresses.join(" ") !== text) {
      const { provider, instance } = facts;
      this.#port.event("cloud-metadata", undefined, { cloud: provider, instance, addresses: text });
    }
    this.tell();
  }

  seenAs({ peer, local, mapped }: SeenAs): void {
    this.sightings.add(peer, local, mapped, this.#port.now);
    if (this.own.seenAs(peer, local.address, mapped, this.#port.now)) this.tell();
  }

  /** Tells the protocol where we are, if that is news to it. */
  tell(): void {
    const own = this.own.news(this.#port.now);
    if (own === undefined) return;
    const text = own.map(endpointText).join(" ");
    if (text !== this.#told) this.#port.event("own-locators", undefined, { locators: text });
    const moved = text !== this.#told && text !== "";
    this.#told = text;
    this.#port.run({ type: "locators", own });
    if (!moved || this.#missed.size === 0) return;
    const missed = [...this.#missed];
    this.#missed.clear();
    this.#reconnects.add(missed, this.#port.now);
  }

  /** The paths to a peer, or what it says about itself, changed. */
  learn(hit: Hit): void {
    const { peers } = this.#port;
    const peer = peers.byHit(hit);
    const last = this.#port.lastLocators(hit);
    if (peer === undefined || last === undefined || last.length === 0) return;
    if (peers.learn(peer, last)) this.#dirty = true;
  }

  established(hit: Hit): void {
    this.#reconnects.done(hit, this.#port.now);
    this.#missed.delete(hit);
    this.learn(hit);
    if (this.#wanted.has(hit)) return;
    this.#wanted.add(hit);
    this.#dirty = true;
  }

  /** The call to a former peer came to nothing: it is still one, and called again when we are somewhere else. */
  failed(hit: Hit): void {
    if (this.#wanted.has(hit)) this.#missed.add(hit);
    this.#reconnects.done(hit, this.#port.now);
  }

  /** An association ended. What somebody wanted to end stays ended; what we end because we stop is to come back with us. */
  closed(hit: Hit, reason: string): void {
    this.sightings.forget(hit);
    if (this.own.forgetPeer(hit)) this.tell();
    if (this.#stopping || reason === FORGOTTEN) return;
    if (UNHEARD.has(reason)) {
      // A peer that lost the association while we moved knows only where we were: nobody but us can begin anew.
      this.#reconnects.addAt(hit, after(this.#port.now, CALL_AGAIN));
      return;
    }
    this.#missed.delete(hit);
    if (this.#wanted.delete(hit)) this.#dirty = true;
  }

  removed(hit: Hit): void {
    this.#reconnects.done(hit, this.#port.now);
    this.#wakes.done(hit, this.#port.now);
    this.closed(hit, "removed");
  }

  stop(): void {
    this.#stopping = true;
    this.#reconnects.clear();
    this.#wakes.clear();
  }

  /** We slept: who still is there, and where, is asked at once. */
  awake(millis: number): void {
    const usable = [...this.#port.peers.all()].flatMap(({ hit, via }) =>
      hit !== undefined && typeof via === "number" ? [hit] : [],
    );
    this.#port.event("resumed", undefined, { millis, peers: usable.length });
    this.#wakes.add(usable, this.#port.now);
  }

  /**
   * ESP under an SPI that is not ours came along `path`: a peer that is, or was, at its source goes on with an association
   * that we lost, by a restart. Only a hint, which anybody can forge: it costs one I1 a second at most.
   */
  unknownSpi({ carrier, remote }: Path): void {
    const { peers, now } = this.#port;
    for (const peer of peers.at(carrier, remote.address)) {
      const state = this.#port.association(peer)?.state;
      if (peer.hit === undefined || (state !== undefined && state !== "E-FAILED")) continue;
      const last = this.#hinted.get(peer.hit);
      if (last !== undefined && now - last < HINT_INTERVAL) continue;
      this.#hinted.set(peer.hit, now);
      this.#call(peer.hit);
    }
  }

  overflows(): Readonly<Record<string, number>> {
    return {
      ...this.own.overflows(),
      ...this.sightings.overflows(),
      [this.#hinted.name]: this.#hinted.overflows,
    };
  }

  tick(now: Instant): void {
    this.#reconnects.tick(now);
    this.#wakes.tick(now);
    if ((this.own.deadline()?.at ?? Number.POSITIVE_INFINITY) <= now) this.tell();
  }

  deadline(): Deadline | undefined {
    const save = this.#dirty ? { at: this.#nextSave(), why: "save associations" } : undefined;
    return earliest(this.#reconnects.deadline(), this.#wakes.deadline(), this.own.deadline(), save);
  }

  /** Whether what is kept changed, and it is time to write that. */
  get mustSave(): boolean {
    return this.#dirty && this.#nextSave() <= this.#port.now;
  }

  /** The list as it is to be kept. */
  saved(): SavedState["associations"] {
    this.#dirty = false;
    this.#savedAt = this.#port.now;
    return [...this.#wanted].flatMap((hit): SavedState["associations"][number][] => {
      const peer = this.#port.peers.byHit(hit);
      if (peer === undefined) return [];
      return [[hit, peer.learned.map(({ address, port }) => [address, port] as const)]];
    });
  }

  #nextSave(): Instant {
    const wait = Math.ceil(SAVE_INTERVAL + SAVE_INTERVAL_PER_PEER * this.#wanted.size);
    return (this.#savedAt === undefined ? this.#port.now : this.#savedAt + wait) as Instant;
  }

  /** An earlier failure is forgotten: there is a reason to think that it is over. */
  #call(hit: Hit): void {
    const peer = this.#port.peers.byHit(hit);
    if (peer === undefined) return;
    if (this.#port.association(peer)?.state === "E-FAILED") this.#port.membership.beginAnew(peer);
    this.#port.run({ type: "connect", peer: hit });
  }
}
