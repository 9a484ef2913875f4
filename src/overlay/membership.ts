/** Peers that come, change and go: what the protocol, the data plane and the LSI map must be told about it. */
import type { Hit, Lsi, Spi } from "../core/types.ts";
import type { HostInput } from "../hip/io.ts";
import { dnsNameOf, type OverlayConfig, type PeerConfig } from "./config.ts";
import type { OverlayOutput } from "./io.ts";
import type { LsiMap } from "./lsi.ts";
import { locatorsOf, type Peer, type PeerTable } from "./peers.ts";
import type { Whereabouts } from "./whereabouts.ts";

/** What membership needs from the overlay. */
export interface MembershipPort {
  readonly config: OverlayConfig;
  readonly peers: PeerTable;
  readonly lsis: LsiMap;
  readonly wall: number;
  readonly whereabouts: Whereabouts;
  /** Where the data plane sends a peer's packets already, when it was taken over. */
  inheritedRoute(hit: Hit): Spi | undefined;
  run(input: HostInput): void;
  emit(output: OverlayOutput): void;
  /** Local packets for the peer leave at once from now on. */
  usable(peer: Peer): void;
}

export class Membership {
  readonly #port: MembershipPort;
  /** HITs that opportunistic mode found in an earlier run, by the peers' names. */
  readonly #discovered: ReadonlyMap<string, string>;

  constructor(port: MembershipPort, discovered: ReadonlyMap<string, string>) {
    this.#port = port;
    this.#discovered = discovered;
  }

  /** Makes a peer known to the protocol, the data plane and the LSI map, which has room for it. */
  add(config: PeerConfig): void {
    const { peers } = this.#port;
    const peer = peers.add(config);
    // What DNS said in an earlier run may not be so any more.
    const fromDns = config.dns !== undefined || dnsNameOf(config, this.#port.config) !== undefined;
    const earlier = fromDns ? undefined : this.#discovered.get(config.name);
    const hit = config.hit ?? (earlier as Hit | undefined);
    if (hit === undefined) return;
    const holder = peers.byHit(hit);
    // What is configured goes before what was found out.
    if (holder !== undefined && holder.config.hit === undefined && config.hit !== undefined) {
      this.remove(holder);
      peers.add(holder.config);
    }
    if (peers.byHit(hit) === undefined) this.bind(peer, hit);
  }

  /** Forgets a peer: association, SAs, alias and route. Its LSI stays reserved for it. */
  remove(peer: Peer): void {
    const { hit, lsi } = peer;
    if (hit !== undefined) this.#port.run({ type: "forget", peer: hit });
    this.#port.peers.remove(peer);
    if (hit === undefined) return;
    this.#port.emit({ type: "route", peer: hit, via: "unknown" });
    if (lsi !== undefined) this.#port.emit({ type: "alias", lsi, peer: undefined });
  }

  /** Other locators, carrier or identity of the same peer. What the association rests on makes it begin anew. */
  change(peer: Peer, config: PeerConfig, localHit: Hit): void {
    const { peers } = this.#port;
    const restart = peer.config.carrier !== config.carrier || peers.localHit(peer) !== localHit;
    if (restart && peer.hit !== undefined) this.#port.run({ type: "forget", peer: peer.hit });
    peers.update(peer, config);
    // Without an association: there may be a locator now, or none any more.
    if (peer.hit !== undefined && (restart || typeof peer.via !== "number")) this.route(peer, "demand");
  }

  /** Forgets the association with a peer that stays: the next packet makes another one. */
  beginAnew(peer: Peer): void {
    if (peer.hit === undefined) return;
    this.#port.run({ type: "forget", peer: peer.hit });
    this.route(peer, "demand");
  }

  /** Gives a peer its HIT and LSI and tells the data plane. False: there is no LSI left. */
  bind(peer: Peer, hit: Hit): boolean {
    const { peers, lsis, wall } = this.#port;
    const lsi = lsis.assign(hit);
    if (!lsi.ok) {
      peer.lastError = { text: lsi.error, wall };
      return false;
    }
    peers.bind(peer, hit, lsi.value);
    this.#port.whereabouts.peerKnown(hit);
    if (peer.config.hit === undefined) lsis.dirty = true;
    this.#alias(lsi.value, hit);
    this.route(peer, this.#port.inheritedRoute(hit) ?? "demand");
    return true;
  }

  /** Sets where local packets for a peer go. */
  route(peer: Peer, via: Spi | "demand" | "reject"): void {
    // Nobody can be asked: the application shall know at once.
    const effective = via === "demand" && locatorsOf(peer).length === 0 ? "reject" : via;
    peer.via = effective;
    this.#port.emit({ type: "route", peer: peer.hit as Hit, via: effective });
    if (typeof effective === "number") this.#port.usable(peer);
  }

  #alias(lsi: Lsi, peer: Hit): void {
    this.#port.emit({ type: "alias", lsi, peer });
  }
}

/** Undefined when the map has room for all these peers, else what to tell the operator. */
export function roomFor(peers: Iterable<PeerConfig>, lsis: LsiMap): string | undefined {
  let fresh = 0;
  for (const { hit } of peers) if (hit === undefined || lsis.lsi(hit) === undefined) fresh++;
  if (lsis.size + fresh <= lsis.room) return undefined;
  return `${fresh} peers need an LSI, but only ${lsis.room - lsis.size} of ${lsis.room} are free; choose a larger network.lsi_prefix`;
}
