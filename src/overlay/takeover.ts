/** What a stopping overlay hands over to its successor, which runs in another process on the same data plane. Holds keys. */
import type { Carrier, Hit, Instant, Spi } from "../core/types.ts";
import type { Host } from "../hip/host.ts";
import type { HostOutput } from "../hip/io.ts";
import { type HandedAssociation, type HandedHost, isOpen } from "../hip/takeover.ts";
import type { OverlayConfig, PeerConfig } from "./config.ts";
import type { OverlayOutput } from "./io.ts";
import type { Membership } from "./membership.ts";
import type { PathWatch } from "./path-watch.ts";
import { checkPeers, displacedBy, type PeerTable } from "./peers.ts";
import type { CloudFacts, SeenAs, Whereabouts } from "./whereabouts.ts";

export interface HandedOverlay {
  readonly host: HandedHost;
  /** Peers that were added at run time: an upgrade is no reason to lose them. */
  readonly peers: readonly PeerConfig[];
  /** What was configured for each peer that has a HIT: the identity that it is shown, and its carrier. */
  readonly settings: readonly (readonly [Hit, Hit, Carrier])[];
  /** HITs that were found out, by the names of their peers. */
  readonly found: readonly (readonly [string, Hit])[];
  /** Outbound SPIs that peers' packets leave under. */
  readonly routes: readonly (readonly [Hit, Spi])[];
  /** What packets to peers are held to, as probes found: bytes of an outer packet. */
  readonly sizes: readonly (readonly [Hit, number])[];
  readonly cloud: CloudFacts | undefined;
}

/** The parts of an overlay that are read or set. */
export interface TakeoverPort {
  readonly peers: PeerTable;
  readonly membership: Membership;
  readonly whereabouts: Whereabouts;
  readonly host: Partial<Pick<Host, "handOver" | "resume">>;
  readonly now: Instant;
  carry(outputs: readonly HostOutput[]): void;
  emit(output: OverlayOutput): void;
}

const NOTHING: HandedHost = {
  associations: [],
  leftovers: [],
  r1s: { secret: [0, 0], generation: 0n, r1s: [] },
};

export function handOver({ host, peers, whereabouts }: TakeoverPort, watch: PathWatch): HandedOverlay {
  return {
    host: host.handOver?.() ?? NOTHING,
    peers: [...peers.all()].map(({ config }) => config).filter(({ source }) => source === "runtime"),
    settings: [...peers.all()].flatMap((peer) =>
      peer.hit === undefined ? [] : [[peer.hit, peers.localHit(peer), peer.config.carrier] as const],
    ),
    found: [...peers.all()].flatMap(({ config, hit }) =>
      config.hit === undefined && hit !== undefined ? [[config.name, hit] as const] : [],
    ),
    routes: [...peers.all()].flatMap(({ hit, via }) =>
      hit !== undefined && typeof via === "number" ? [[hit, via] as const] : [],
    ),
    sizes: watch.imposed(),
    cloud: whereabouts.cloudFacts,
  };
}

/** Those of the predecessor's peers that no file displaces, if they can be ours. */
export function inheritedPeers(handed: HandedOverlay, config: OverlayConfig): readonly PeerConfig[] {
  const displaced = displacedBy(config.peers);
  const added = handed.peers.filter(({ name, hit }) => !displaced(name, hit));
  const own = config.identities.map(({ hit }) => hit);
  return checkPeers([...config.peers, ...added], own, config.host.opportunistic).ok ? added : [];
}

/**
 * Goes on where the predecessor stopped; peers are known, with its routes. What the configuration does not allow any
 * more, or allows in another way, ends or begins anew.
 */
export function resume(port: TakeoverPort, watch: PathWatch, handed: HandedOverlay): void {
  const { host, peers, membership, whereabouts } = port;
  const associations = handed.host.associations.filter(({ state }) => isOpen(state));
  const settings = new Map(handed.settings.map(([hit, ...rest]) => [hit, rest]));
  for (const [name, hit] of handed.found) {
    const peer = peers.named(name);
    if (peer !== undefined && peer.hit === undefined && peers.byHit(hit) === undefined)
      membership.bind(peer, hit);
  }
  whereabouts.inherit(associations.flatMap(seenAs));
  if (handed.cloud !== undefined) whereabouts.cloud(handed.cloud);
  port.carry(host.resume?.(handed.host, port.now) ?? []);
  for (const [hit, mtu] of handed.sizes) watch.inherit(hit, mtu);
  const going = new Set<Hit>();
  for (const { peer: hit } of associations) {
    const peer = peers.byHit(hit);
    if (peer === undefined) continue;
    // An association may have another identity or carrier than is configured: what counts is whether the configuration changed.
    const [localHit, carrier] = settings.get(hit) ?? [];
    const same = peers.localHit(peer) === localHit && peer.config.carrier === carrier;
    if (same) going.add(hit);
    else membership.beginAnew(peer);
    if (same) whereabouts.established(hit);
  }
  for (const [hit] of handed.routes) {
    if (going.has(hit)) continue;
    const peer = peers.byHit(hit);
    if (peer === undefined) port.emit({ type: "route", peer: hit, via: "unknown" });
    else if (typeof peer.via === "number") membership.route(peer, "demand");
  }
}

function seenAs({ peer, state }: HandedAssociation): readonly SeenAs[] {
  if (!isOpen(state)) return [];
  const { mapped } = state.session.mobility;
  return mapped === undefined ? [] : [{ peer, local: mapped.local, mapped: mapped.seen }];
}
