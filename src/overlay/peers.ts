/** The peers: who may talk to this host, and where they may be. */
import { formatHit } from "../core/ip.ts";
import {
  type Carrier,
  type Endpoint,
  err,
  type Hit,
  type Lsi,
  ok,
  type Result,
  type Spi,
  sameEndpoint,
} from "../core/types.ts";
import type { PeerBook, PeerPolicy } from "../hip/io.ts";
import type { PeerConfig } from "./config.ts";
import type { ControlErrorCode } from "./control.ts";
import { NameIndex } from "./name-index.ts";

/** Peers that may be configured at once. */
export const MAX_PEERS = 50_000;
/** Characters of a peer's name: it must fit into a DNS name. */
export const MAX_NAME = 200;
/** Locators of one peer. */
export const MAX_LOCATORS = 16;

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export interface Refusal {
  readonly code: ControlErrorCode;
  readonly message: string;
}

/** A peer with what is remembered about it while it is configured. */
export interface Peer {
  config: PeerConfig;
  /** Configured, or found by opportunistic mode. */
  hit: Hit | undefined;
  lsi: Lsi | undefined;
  /** Where local packets for it go at the moment. */
  via: Spi | "demand" | "reject";
  /** `event`: the protocol's event that it is from. */
  lastError: { readonly text: string; readonly wall: number; readonly event?: string } | undefined;
  /** It did not answer when it was called last, or went silent. */
  unreachable: boolean | undefined;
  /** Where it was last, as it said or was seen, best first; may repeat what is configured. */
  learned: readonly Endpoint[];
  /** Where DNS says that it is, best first. */
  published: readonly Endpoint[];
  /** Why something in DNS about it is not believed. */
  dnsProblem: string | undefined;
  /** All of these, best first. */
  locators: readonly Endpoint[];
  /** Times that data moved to another path. */
  handovers: number;
}

/** Calls back when opportunistic mode has found the HIT of a peer. False: the peer cannot be used. */
export type OnDiscovered = (peer: Peer, hit: Hit) => boolean;

const NOWHERE: readonly Endpoint[] = [];

export class PeerTable implements PeerBook {
  /** Whose record in DNS is gone, while what it had begun goes on. */
  readonly lost = new Set<Peer>();
  /** All names, for what stands above them in DNS. */
  readonly names = new NameIndex();
  readonly #byName = new Map<string, Peer>();
  readonly #byHit = new Map<Hit, Peer>();
  /** Mostly one peer: a set only where several have the same address. */
  readonly #byAddress = new Map<string, Peer | Set<Peer>>();
  readonly #onDiscovered: OnDiscovered;
  #own: ReadonlySet<Hit>;
  #defaultIdentity: Hit;
  #opportunistic: boolean;

  constructor(own: readonly Hit[], defaultIdentity: Hit, opportunistic: boolean, onDiscovered: OnDiscovered) {
    this.#own = new Set(own);
    this.#defaultIdentity = defaultIdentity;
    this.#opportunistic = opportunistic;
    this.#onDiscovered = onDiscovered;
  }

  get size(): number {
    return this.#byName.size;
  }

  get defaultIdentity(): Hit {
    return this.#defaultIdentity;
  }

  all(): IterableIterator<Peer> {
    return this.#byName.values();
  }

  named(name: string): Peer | undefined {
    return this.#byName.get(name);
  }

  byHit(hit: Hit): Peer | undefined {
    return this.#byHit.get(hit);
  }

  /** The peers that have a locator with this address. */
  at(carrier: Carrier, address: string): readonly Peer[] {
    const there = this.#byAddress.get(address);
    const all = there instanceof Set ? [...there] : there === undefined ? [] : [there];
    return all.filter((peer) => peer.config.carrier === carrier);
  }

  /** The identity that a peer is shown. */
  localHit(peer: Peer): Hit {
    return peer.config.localHit ?? this.#defaultIdentity;
  }

  /** Adds a peer that `checkPeers` has found good together with all others. It has no HIT until `bind`. */
  add(config: PeerConfig): Peer {
    const peer: Peer = {
      config,
      hit: undefined,
      lsi: undefined,
      via: "demand",
      lastError: undefined,
      unreachable: undefined,
      learned: NOWHERE,
      published: NOWHERE,
      dnsProblem: undefined,
      locators: config.locators,
      handovers: 0,
    };
    this.#byName.set(config.name, peer);
    this.names.add(config.name);
    this.#listAddresses(peer);
    return peer;
  }

  remove(peer: Peer): void {
    this.lost.delete(peer);
    this.#unlistAddresses(peer);
    if (this.#byName.delete(peer.config.name)) this.names.remove(peer.config.name);
    if (peer.hit !== undefined) this.#byHit.delete(peer.hit);
  }

  /** New locators, family or origin of the same peer: name and HIT stay. */
  update(peer: Peer, config: PeerConfig): void {
    this.#unlistAddresses(peer);
    if (peer.config.dns !== config.dns) peer.published = NOWHERE;
    peer.config = config;
    this.#listAddresses(peer);
  }

  /** Where the peer is now, by its own word: tried after what is configured. False: that was known. */
  learn(peer: Peer, locators: readonly Endpoint[]): boolean {
    const learned = locators.slice(0, MAX_LOCATORS);
    const { learned: before } = peer;
    if (sameEndpoints(before, learned)) return false;
    this.#unlistAddresses(peer);
    peer.learned = sameEndpoints(learned, peer.config.locators) ? peer.config.locators : learned;
    this.#listAddresses(peer);
    return true;
  }

  /** Where the peer is by DNS: tried after what is configured. False: that was known. */
  publish(peer: Peer, locators: readonly Endpoint[]): boolean {
    if (sameEndpoints(peer.published, locators)) return false;
    this.#unlistAddresses(peer);
    peer.published = locators.slice(0, MAX_LOCATORS);
    this.#listAddresses(peer);
    return true;
  }

  /** Gives a peer its HIT: the configured one, or the one that it turned out to have. */
  bind(peer: Peer, hit: Hit, lsi: Lsi): void {
    if (peer.hit !== undefined) this.#byHit.delete(peer.hit);
    peer.hit = hit;
    peer.lsi = lsi;
    this.#byHit.set(hit, peer);
  }

  configure(own: readonly Hit[], defaultIdentity: Hit, opportunistic: boolean): void {
    this.#own = new Set(own);
    this.#defaultIdentity = defaultIdentity;
    this.#opportunistic = opportunistic;
  }

  find(hit: Hit): PeerPolicy | undefined {
    const peer = this.#byHit.get(hit);
    return peer === undefined ? undefined : this.#policy(peer, hit);
  }

  discovered(hit: Hit, localHit: Hit, carrier: Carrier, at: Endpoint): boolean {
    if (this.#byHit.has(hit)) return true;
    if (!this.#opportunistic || this.#own.has(hit)) return false;
    const wanted = this.at(carrier, at.address).find(
      (peer) => peer.hit === undefined && peer.config.dns === undefined && this.localHit(peer) === localHit,
    );
    return wanted === undefined ? false : this.#onDiscovered(wanted, hit);
  }

  /** Before this, what the peer's locators are made of has changed. */
  #listAddresses(peer: Peer): void {
    peer.locators = locatorsOf(peer);
    for (const { address } of peer.locators) {
      const there = this.#byAddress.get(address);
      if (there === undefined) this.#byAddress.set(address, peer);
      else if (there instanceof Set) there.add(peer);
      else if (there !== peer) this.#byAddress.set(address, new Set([there, peer]));
    }
  }

  #unlistAddresses(peer: Peer): void {
    for (const { address } of peer.locators) {
      const there = this.#byAddress.get(address);
      if (there instanceof Set) there.delete(peer);
      if (there === peer || (there instanceof Set && there.size === 0)) this.#byAddress.delete(address);
    }
  }

  /** Made each time: thousands of peers are not asked about for hours. */
  #policy(peer: Peer, hit: Hit): PeerPolicy {
    const { carrier, inboundFamily } = peer.config;
    return { hit, localHit: this.localHit(peer), carrier, locators: peer.locators, inboundFamily };
  }
}

function sameEndpoints(some: readonly Endpoint[], others: readonly Endpoint[]): boolean {
  return some.length === others.length && some.every((one, i) => sameEndpoint(one, others[i] as Endpoint));
}

/** Where a peer may be, best first: as configured, then by DNS, then as learned from itself. */
export function locatorsOf({
  config,
  learned,
  published,
}: Pick<Peer, "config" | "learned" | "published">): readonly Endpoint[] {
  if (published.length > 0) {
    const told = [...published, ...learned].filter(
      (one, i, all) => all.findIndex((other) => sameEndpoint(one, other)) === i,
    );
    return locatorsOf({ config, learned: told, published: NOWHERE });
  }
  if (learned.length === 0) return config.locators;
  // What was learned without UDP lacks a port. Where plain IP is configured, what was learned over UDP is better than nothing.
  const usable = learned.filter(
    (one) =>
      (one.port !== 0 || config.carrier === "none") &&
      !config.locators.some((configured) => sameEndpoint(configured, one)),
  );
  if (usable.length === 0) return config.locators;
  return [...config.locators, ...usable].slice(0, MAX_LOCATORS);
}

/** Whether a file's peers take the name or the HIT of one that was added at run time: the file wins. */
export function displacedBy(files: Iterable<PeerConfig>): (name: string, hit: Hit | undefined) => boolean {
  const names = new Set<string>();
  const hits = new Set<Hit | undefined>();
  for (const { name, hit } of files) {
    names.add(name);
    hits.add(hit);
  }
  return (name, hit) => names.has(name) || (hit !== undefined && hits.has(hit));
}

/** Whether all these peers can be configured together on a host with these identities. */
export function checkPeers(
  peers: Iterable<PeerConfig>,
  own: readonly Hit[],
  opportunistic: boolean,
  limit: number = MAX_PEERS,
): Result<void, Refusal> {
  const names = new Set<string>();
  const nameOf = new Map<Hit, string>();
  for (const peer of peers) {
    const refused = checkPeer(peer, own, opportunistic);
    if (refused !== undefined) return err(refused);
    if (names.has(peer.name)) {
      return err({
        code: "exists",
        message: `there is a peer named "${peer.name}" already; choose another name`,
      });
    }
    names.add(peer.name);
    if (names.size > limit)
      return err({ code: "failed", message: `more than ${limit} peers are not supported` });
    if (peer.hit === undefined) continue;
    const other = nameOf.get(peer.hit);
    if (other !== undefined) {
      return err({
        code: "exists",
        message: `peer "${peer.name}" has the HIT ${formatHit(peer.hit)} of peer "${other}"; a HIT belongs to one peer`,
      });
    }
    nameOf.set(peer.hit, peer.name);
  }
  return ok(undefined);
}

function checkPeer(peer: PeerConfig, own: readonly Hit[], opportunistic: boolean): Refusal | undefined {
  const invalid = (message: string): Refusal => ({
    code: "invalid",
    message: `peer "${peer.name}": ${message}`,
  });
  if (peer.name.length > MAX_NAME || !peer.name.split(".").every((label) => LABEL.test(label))) {
    return invalid(
      `a name has lower-case letters, digits and '-' in parts divided by '.', like a host name, at most ${MAX_NAME} in all`,
    );
  }
  if (/^[0-9.]+$/.test(peer.name)) return invalid("a name must not look like an IPv4 address");
  if (peer.hit !== undefined && own.includes(peer.hit)) {
    return invalid(`${formatHit(peer.hit)} is a HIT of this host; a host cannot be its own peer`);
  }
  if (peer.localHit !== undefined && !own.includes(peer.localHit)) {
    return invalid(`${formatHit(peer.localHit)} is not an identity of this host (see hipctl identity list)`);
  }
  if (peer.locators.length > MAX_LOCATORS) {
    return invalid(`${peer.locators.length} locators; at most ${MAX_LOCATORS} are supported`);
  }
  if (peer.hit === undefined && peer.dns === undefined) {
    if (!opportunistic) return invalid("it has no HIT, and opportunistic mode is off; set its HIT");
    if (peer.locators.length === 0) return invalid("it has neither a HIT nor a locator");
  }
  return undefined;
}
