/** What a stopping overlay hands over to its successor, which runs in another process on the same data plane. Holds keys. */
import type { Hit, Instant, Spi } from "../core/types.ts";
import type { Host } from "../hip/host.ts";
import type { HostOutput } from "../hip/io.ts";
import type { HandedAssociation, HandedHost } from "../hip/takeover.ts";
import type { OverlayConfig, PeerConfig } from "./config.ts";
import type { OverlayOutput } from "./io.ts";
import type { Membership } from "./membership.ts";
import type { PathWatch } from "./path-watch.ts";
import { checkPeers, type PeerTable } from "./peers.ts";
import type { CloudFacts, SeenAs, Whereabouts } from "./whereabouts.ts";

export interface HandedOverlay {
  readonly host: HandedHost;
  /** Peers that were added at run time: an upgrade is no reason to lose them. */
  readonly peers: readonly PeerConfig[];
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

export function handOver({ host, peers, whereabouts }: TakeoverPort, watch: PathWatch): HandedOverlay {
  return {
    host: host.handOver?.() ?? { associations: [], leftovers: [] },
    peers: [...peers.all()].map(({ config }) => config).filter(({ source }) => source === "runtime"),
    routes: [...peers.all()].flatMap(({ hit, via }) =>
      hit !== undefined && typeof via === "number" ? [[hit, via] as const] : [],
    ),
    sizes: watch.imposed(),
    cloud: whereabouts.cloudFacts,
  };
}

/** Those of the predecessor's peers that no file displaces, if they can be ours. */
export function inheritedPeers(handed: HandedOverlay, config: OverlayConfig): readonly PeerConfig[] {
  const added = handed.peers.filter(
    ({ name, hit }) =>
      !config.peers.some((one) => one.name === name || (hit !== undefined && one.hit === hit)),
  );
  const own = config.identities.map(({ hit }) => hit);
  return checkPeers([...config.peers, ...added], own, config.host.opportunistic).ok ? added : [];
}

/**
 * Goes on where the predecessor stopped; peers are known, with its routes. What the configuration does not allow any
 * more, or allows in another way, ends or begins anew.
 */
export function resume(port: TakeoverPort, watch: PathWatch, handed: HandedOverlay): void {
  const { host, peers, membership, whereabouts } = port;
  const { associations } = handed.host;
  whereabouts.inherit(associations.flatMap(seenAs));
  if (handed.cloud !== undefined) whereabouts.cloud(handed.cloud);
  port.carry(host.resume?.(handed.host, port.now) ?? []);
  for (const [hit, mtu] of handed.sizes) watch.inherit(hit, mtu);
  const going = new Set<Hit>();
  for (const { local, peer: hit, state } of associations) {
    const peer = peers.byHit(hit);
    if (peer === undefined) continue;
    const same = peers.localHit(peer) === local && peer.config.carrier === state.session.path.carrier;
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
  const { mapped } = state.session.mobility;
  return mapped === undefined ? [] : [{ peer, local: mapped.local, mapped: mapped.seen }];
}
