/** Where this host is and how it reaches its peers, from what hipd knows and from echo requests: facts in, report out. */
import type {
  OwnLocatorView,
  PairView,
  PeerLocatorsView,
  PeerLocatorView,
} from "../../overlay/locator-views.ts";
import type { CloudView, SightingView } from "../../overlay/sightings.ts";
import type { Answers, Whereabouts } from "../doctor/facts.ts";
import { hostOf } from "../endpoint.ts";
import { type NatView, natViews } from "./nat.ts";

export type Family = "ipv4" | "ipv6";

/** How a peer is reached with one family of addresses outside. */
export interface ReachView {
  /** "verified": an answer came along such a path; "unverified": none yet; "none": one of us has no such address. */
  readonly state: "verified" | "unverified" | "none";
  /** The best such path: `udp 192.0.2.1:10500 > 192.0.2.10:10500`. */
  readonly path: PairView["path"] | null;
  readonly inUse: boolean;
  readonly rttMillis: number | null;
  readonly loss: number | null;
  /** Largest outer packet. */
  readonly mtu: number | null;
}

/** Echo requests through the overlay. */
export interface ProbeView {
  readonly sent: number;
  readonly received: number;
  readonly minMillis: number | null;
  readonly meanMillis: number | null;
  readonly maxMillis: number | null;
  /** Why none could be sent. */
  readonly error: string | null;
}

export interface PeerReport {
  readonly name: string;
  readonly hit: string | null;
  readonly state: string;
  readonly ipv4: ReachView;
  readonly ipv6: ReachView;
  /** Null: not probed. */
  readonly probe: ProbeView | null;
}

export interface NetReport {
  readonly own: readonly OwnLocatorView[];
  readonly seen: readonly SightingView[];
  readonly nat: readonly NatView[];
  readonly peers: readonly PeerReport[];
  readonly cloud: CloudView | null;
  readonly metadata: Whereabouts["metadata"];
}

export type Known = Pick<Answers, "status" | "own" | "peers" | "whereabouts">;

export function netReport(known: Known, probes: ReadonlyMap<string, ProbeView>): NetReport {
  const { status, own, peers, whereabouts } = known;
  const seen = whereabouts?.seen ?? [];
  const families = new Set(
    own
      .filter(({ source, state }) => source === "host" && state === "offered")
      .map(({ address }) => familyOf(address)),
  );
  const states = new Map(status.peers.map(({ name, state }) => [name, state]));
  return {
    own,
    seen,
    nat: natViews(seen, families, (sighting) => placeOf(peers, sighting)),
    peers: peers.map((peer) => ({
      name: peer.name,
      hit: peer.hit,
      state: states.get(peer.name) ?? "UNASSOCIATED",
      ipv4: reach(peer, "ipv4", own),
      ipv6: reach(peer, "ipv6", own),
      probe: probes.get(peer.name) ?? null,
    })),
    cloud: whereabouts?.cloud ?? null,
    metadata: whereabouts?.metadata ?? null,
  };
}

export function familyOf(endpoint: string): Family {
  return hostOf(endpoint).includes(":") ? "ipv6" : "ipv4";
}

function placeOf(peers: readonly PeerLocatorsView[], { hit, local }: SightingView): string | undefined {
  const paths = peers.find((peer) => peer.hit === hit)?.paths ?? [];
  const along = paths.filter(({ path }) => hostOf(path.local) === hostOf(local));
  return (along.find(({ inUse }) => inUse) ?? along[0])?.path.remote;
}

const NONE: ReachView = { state: "none", path: null, inUse: false, rttMillis: null, loss: null, mtu: null };

function reach(peer: PeerLocatorsView, family: Family, own: readonly OwnLocatorView[]): ReachView {
  const mine = peer.paths.filter(({ path }) => familyOf(path.remote) === family);
  const verified = mine.filter(({ state }) => state === "verified");
  const best = [...(verified.length > 0 ? verified : mine)].sort(better)[0];
  if (best !== undefined) {
    const { path, inUse, rttMillis, loss, mtu, state } = best;
    return { state, path, inUse, rttMillis, loss, mtu };
  }
  const there = peer.locators.some(({ address }: PeerLocatorView) => familyOf(address) === family);
  const here = own.some(({ address, source }) => source === "host" && familyOf(address) === family);
  return there && here ? { ...NONE, state: "unverified" } : NONE;
}

/** The one in use, else the shortest round trip. */
function better(a: PairView, b: PairView): number {
  if (a.inUse !== b.inUse) return a.inUse ? -1 : 1;
  return (a.rttMillis ?? Number.POSITIVE_INFINITY) - (b.rttMillis ?? Number.POSITIVE_INFINITY);
}
