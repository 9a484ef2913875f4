/** Locators and paths as operators see them, both sides, each with what is known about its quality. */
import { formatHit } from "../core/ip.ts";
import { type Endpoint, endpointText, type Hit, type Path } from "../core/types.ts";
import type { PathDetails } from "../hip/io.ts";
import type { OwnLocatorKind } from "../hip/locator.ts";
import type { PathState, PathView } from "./control.ts";
import type { Protocol } from "./overlay.ts";
import type { Peer, PeerTable } from "./peers.ts";
import { isoTime, type Moment, pathView, type TrafficByPeer } from "./views.ts";
import type { Whereabouts } from "./whereabouts.ts";

/** What probes found out about one pair of addresses; undefined: nothing. */
export interface PathQuality {
  readonly rttMillis?: number | undefined;
  /** 0 to 1. */
  readonly loss?: number | undefined;
  /** Largest outer packet, in bytes. */
  readonly mtu?: number | undefined;
}

export type QualityOf = (peer: Hit, path: Path) => PathQuality | undefined;

export interface QualityView {
  readonly rttMillis: number | null;
  readonly loss: number | null;
  readonly mtu: number | null;
}

export interface OwnLocatorView extends QualityView {
  /** With its port. */
  readonly address: string;
  readonly source: OwnLocatorKind;
  readonly interface: string | null;
  /** Whether peers are told of it. */
  readonly state: "offered" | "left-out";
  /** Why it is left out. */
  readonly reason: string | null;
  /** The one that peers should prefer. */
  readonly preferred: boolean;
  /** 0 to 65535, higher is better. */
  readonly preference: number;
  readonly since: string;
  readonly lifetimeSeconds: number | null;
}

export interface PeerLocatorView extends QualityView {
  readonly address: string;
  /** Who says so: the base exchange, the peer itself, packets that came from there, the configuration, an earlier association. */
  readonly source: "exchange" | "announced" | "observed" | "configured" | "remembered";
  /** Of RFC 8046 5.1; "UNUSED": tried only for the next exchange. */
  readonly state: "UNVERIFIED" | "ACTIVE" | "DEPRECATED" | "UNUSED";
  readonly preferred: boolean;
  readonly inUse: boolean;
  readonly since: string | null;
  readonly until: string | null;
}

/** One pair of addresses. */
export interface PairView extends QualityView {
  readonly path: PathView;
  readonly inUse: boolean;
  readonly state: PathState;
  /** When an answer came along it last. */
  readonly heardAt: string | null;
}

export interface PeerLocatorsView {
  readonly name: string;
  readonly hit: string | null;
  readonly locators: readonly PeerLocatorView[];
  readonly paths: readonly PairView[];
}

/** What the views need from the overlay. */
export interface LocatorSource extends Moment {
  readonly host: Protocol;
  readonly peers: PeerTable;
  readonly whereabouts: Whereabouts;
  readonly quality: QualityOf;
}

/** A path with all that is known about it. */
interface Pair {
  readonly details: PathDetails;
  readonly quality: QualityView;
}

export function pairsOf(peer: Hit, from: LocatorSource, traffic: TrafficByPeer): readonly Pair[] {
  return (from.host.paths?.(peer) ?? []).map((details) => {
    const probed = from.quality(peer, details.path);
    const counted = details.current ? traffic.get(peer)?.pathMtu : undefined;
    return {
      details,
      quality: {
        rttMillis: probed?.rttMillis ?? details.rttMillis ?? null,
        loss: probed?.loss ?? null,
        mtu: probed?.mtu ?? counted ?? null,
      },
    };
  });
}

/** What lists of peers show of their paths. */
export interface PathSummary extends QualityView {
  readonly pathState: PathState | null;
  readonly otherPaths: number;
}

export const NO_PATHS: PathSummary = {
  pathState: null,
  otherPaths: 0,
  rttMillis: null,
  loss: null,
  mtu: null,
};

export function pathSummary(pairs: readonly Pair[]): PathSummary {
  const current = pairs.find(({ details }) => details.current);
  if (current === undefined) return NO_PATHS;
  return {
    pathState: stateOf(current.details),
    otherPaths: pairs.filter(({ details }) => !details.current && details.verified).length,
    ...current.quality,
  };
}

/** Our locators, with the best that was seen of each along the paths to these peers. */
export function ownLocatorViews(from: LocatorSource, pairs: readonly Pair[]): readonly OwnLocatorView[] {
  const { now, wall, whereabouts } = from;
  return whereabouts.own.known(now).map((known, index) => ({
    address: endpointText(known),
    source: known.kind,
    interface: known.interface || null,
    state: known.leftOut === undefined ? "offered" : "left-out",
    reason: known.leftOut ?? null,
    preferred: index === 0 && known.leftOut === undefined,
    preference: known.preference,
    since: isoTime(wall - (now - known.since)),
    lifetimeSeconds: known.lifetime ?? null,
    ...best(pairs.filter(({ details }) => details.path.local.address === known.address)),
  }));
}

export function peerLocatorsView(peer: Peer, from: LocatorSource, pairs: readonly Pair[]): PeerLocatorsView {
  const { now, wall } = from;
  const time = (instant: number): string => isoTime(wall - (now - instant));
  const to = (endpoint: Endpoint): readonly Pair[] =>
    pairs.filter(({ details }) => endpointText(details.path.remote) === endpointText(endpoint));
  const known = peer.hit === undefined ? [] : (from.host.peerLocators?.(peer.hit) ?? []);
  const listed = new Set(known.map(({ endpoint }) => endpointText(endpoint)));
  const views = known.map(
    ({ endpoint, status, preferred, source, since, until }): PeerLocatorView => ({
      address: endpointText(endpoint),
      source,
      state: status,
      preferred,
      inUse: to(endpoint).some(({ details }) => details.current),
      since: time(since),
      until: until === undefined ? null : time(until),
      ...best(to(endpoint)),
    }),
  );
  const others = [
    ...peer.config.locators.map((endpoint) => ({ endpoint, source: "configured" as const })),
    ...peer.learned.map((endpoint) => ({ endpoint, source: "remembered" as const })),
  ];
  for (const { endpoint, source } of others) {
    const address = endpointText(endpoint);
    if (listed.has(address)) continue;
    listed.add(address);
    const unused = { state: "UNUSED" as const, preferred: false, inUse: false, since: null, until: null };
    views.push({ address, source, ...unused, ...best([]) });
  }
  return {
    name: peer.config.name,
    hit: peer.hit === undefined ? null : formatHit(peer.hit),
    locators: views,
    paths: pairs.map(({ details, quality }) => ({
      path: pathView(details.path) as PathView,
      inUse: details.current,
      state: stateOf(details),
      heardAt: details.heardAt === undefined ? null : time(details.heardAt),
      ...quality,
    })),
  };
}

/** Gauges: our locators by their source, all peers' by their state. */
export function countLocators(
  from: Pick<LocatorSource, "host" | "peers" | "whereabouts" | "now">,
): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  const add = (name: string): void => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  for (const kind of ["host", "static", "cloud", "reflexive"]) counts[`own ${kind}`] = 0;
  for (const status of ["UNVERIFIED", "ACTIVE", "DEPRECATED"]) counts[`peer ${status}`] = 0;
  for (const { kind, leftOut } of from.whereabouts.own.known(from.now)) {
    if (leftOut === undefined) add(`own ${kind}`);
  }
  for (const { hit } of from.peers.all()) {
    if (hit === undefined) continue;
    for (const { status } of from.host.peerLocators?.(hit) ?? []) add(`peer ${status}`);
  }
  return counts;
}

function stateOf(details: PathDetails): PathState {
  return details.verified ? "verified" : "unverified";
}

/** The shortest round trip with its loss, and the largest packet. */
function best(pairs: readonly Pair[]): QualityView {
  const timed = pairs
    .map(({ quality }) => quality)
    .filter(({ rttMillis }) => rttMillis !== null)
    .sort((a, b) => Number(a.rttMillis) - Number(b.rttMillis));
  const mtus = pairs.flatMap(({ quality }) => (quality.mtu === null ? [] : [quality.mtu]));
  const first = timed[0] ?? pairs[0]?.quality;
  return {
    rttMillis: first?.rttMillis ?? null,
    loss: first?.loss ?? null,
    mtu: mtus.length === 0 ? null : Math.max(...mtus),
  };
}
