/** The overlay's tables as operators see them: HITs as IPv6 text, instants as ISO 8601 times, numbers of suites as names. */
import { formatHit, formatPrefix } from "../core/ip.ts";
import { endpointText, type Hit, type Instant, type Path } from "../core/types.ts";
import { DH_GROUP, espSuite, HIP_CIPHER_ID } from "../crypto/suites.ts";
import type { AssociationView } from "../hip/io.ts";
import type { OverlayConfig } from "./config.ts";
import type { AssociationDetails, IdentityView, PathView, PeerView, SelfView, Traffic } from "./control.ts";
import type { PathSummary } from "./locator-views.ts";
import type { Peer, PeerTable } from "./peers.ts";

/** A moment in both clocks: turns other instants into times. */
export interface Moment {
  readonly now: Instant;
  readonly wall: number;
}

export type TrafficByPeer = ReadonlyMap<Hit, Traffic>;

const NO_TRAFFIC = { txBytes: 0, rxBytes: 0, txPackets: 0, rxPackets: 0 };

/** Instants have fractions that do not add up exactly: without rounding the same moment would be shown in two ways. */
export function isoTime(wall: number): string {
  return new Date(Math.round(wall)).toISOString();
}

export function pathView(path: Path | undefined): PathView | null {
  if (path === undefined) return null;
  return {
    carrier: path.carrier,
    local: endpointText(path.local),
    remote: endpointText(path.remote),
  };
}

export function peerView(
  peer: Peer,
  peers: PeerTable,
  association: AssociationView | undefined,
  traffic: TrafficByPeer,
  paths: PathSummary,
  moment: Moment,
): PeerView {
  const counted = peer.hit === undefined ? undefined : traffic.get(peer.hit);
  return {
    name: peer.config.name,
    hit: peer.hit === undefined ? null : formatHit(peer.hit),
    lsi: peer.lsi ?? null,
    state: association?.state ?? "UNASSOCIATED",
    suite: espName(association?.espSuite),
    path: pathView(association?.path),
    ...volume(counted),
    establishedAt: time(association?.establishedAt, moment),
    lastError: peer.lastError?.text ?? null,
    lastErrorAt: peer.lastError === undefined ? null : isoTime(peer.lastError.wall),
    locators: peer.config.locators.map(endpointText),
    carrier: peer.config.carrier,
    inboundFamily: peer.config.inboundFamily,
    identity: formatHit(peers.localHit(peer)),
    source: peer.config.source,
    file: peer.config.file,
    opportunistic: peer.config.hit === undefined && peer.config.dns === undefined,
    pathState: paths.pathState,
    rttMillis: paths.rttMillis,
    otherPaths: paths.otherPaths,
    loss: paths.loss,
    handovers: peer.handovers,
  };
}

export function associationDetails(
  association: AssociationView,
  peer: Peer | undefined,
  traffic: TrafficByPeer,
  paths: PathSummary,
  moment: Moment,
): AssociationDetails {
  const counted = traffic.get(association.peer);
  return {
    name: peer?.config.name ?? "",
    hit: formatHit(association.peer),
    identity: formatHit(association.local),
    lsi: peer?.lsi ?? null,
    state: association.state,
    role: association.role,
    path: pathView(association.path),
    suite: espName(association.espSuite),
    hipCipher: nameOf(HIP_CIPHER_ID, association.hipCipher),
    // As the configuration file spells it: P-256, MODP-3072.
    dhGroup: nameOf(DH_GROUP, association.dhGroup)?.replace(/^P(?=\d)/, "P-") ?? null,
    inSpi: spiText(association.inSpi),
    outSpi: spiText(association.outSpi),
    exchangeMillis: association.exchangeMillis ?? null,
    since: time(association.since, moment) as string,
    establishedAt: time(association.establishedAt, moment),
    peerDomain: association.peerDomain === "" ? null : association.peerDomain,
    pathMtu: counted?.pathMtu ?? null,
    pathState: paths.pathState,
    rttMillis: paths.rttMillis,
    loss: paths.loss,
    otherPaths: paths.otherPaths,
    ...volume(counted),
  };
}

export function identityViews(config: OverlayConfig, peers: PeerTable): readonly IdentityView[] {
  const users = new Map<Hit, string[]>();
  for (const peer of peers.all()) {
    const hit = peers.localHit(peer);
    const names = users.get(hit);
    if (names === undefined) users.set(hit, [peer.config.name]);
    else names.push(peer.config.name);
  }
  return config.identities.map((identity) => ({
    hit: formatHit(identity.hit),
    suite: identity.suite,
    algorithm: identity.algorithm,
    file: identity.file,
    default: identity.hit === peers.defaultIdentity,
    peers: users.get(identity.hit) ?? [],
  }));
}

export function selfView(
  config: OverlayConfig,
  peers: PeerTable,
  ownLsi: string,
  interfaceName: string,
  addresses: readonly string[],
): SelfView {
  return {
    hit: formatHit(peers.defaultIdentity),
    lsi: ownLsi,
    identities: identityViews(config, peers),
    interface: interfaceName,
    port: config.port,
    lsiPrefix: formatPrefix(config.lsiPrefix),
    addresses,
  };
}

function volume(counted: Traffic | undefined): typeof NO_TRAFFIC {
  if (counted === undefined) return NO_TRAFFIC;
  const { txBytes, rxBytes, txPackets, rxPackets } = counted;
  return { txBytes, rxBytes, txPackets, rxPackets };
}

function time(instant: number | undefined, moment: Moment): string | null {
  return instant === undefined ? null : isoTime(moment.wall - (moment.now - instant));
}

function espName(id: number | undefined): string | null {
  return id === undefined ? null : (espSuite(id)?.name ?? String(id));
}

function nameOf(names: Readonly<Record<string, number>>, id: number | undefined): string | null {
  if (id === undefined) return null;
  const found = Object.entries(names).find(([, value]) => value === id);
  return found === undefined ? String(id) : found[0].replaceAll("_", "-");
}

function spiText(spi: number | undefined): string | null {
  return spi === undefined ? null : `0x${spi.toString(16).padStart(8, "0")}`;
}
