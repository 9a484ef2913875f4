/**
 * What kind of NAT stands before this host, as far as peers tell. The words are those of RFC 4787 4.1, which is about mappings; how a NAT
 * filters (section 5) can only be found out by packets from strangers.
 */
import type { SightingView } from "../../overlay/sightings.ts";
import { hostOf } from "../endpoint.ts";

export const NAT_KINDS = [
  "none",
  "endpoint-independent",
  "address-dependent",
  "address-and-port-dependent",
  "unknown",
] as const;
export type NatKind = (typeof NAT_KINDS)[number];

export interface NatView {
  readonly family: "ipv4" | "ipv6";
  readonly kind: NatKind;
  /** For people: what it rests on, or what would be needed to know. */
  readonly reason: string;
  /** What peers see, each once. */
  readonly mapped: readonly string[];
  /** Whether peers see our own port; null: there is no NAT, or it is not known. */
  readonly portPreserved: boolean | null;
  /** Peers that told. */
  readonly peers: number;
}

/** Where a peer is: the remote end of the path that it sees us along; undefined: not known. */
export type WhereIs = (sighting: SightingView) => string | undefined;

const FAMILIES = ["ipv4", "ipv6"] as const;

/** Families that nobody told of are there only when this host has an address of them. */
export function natViews(
  seen: readonly SightingView[],
  families: ReadonlySet<string>,
  whereIs: WhereIs,
): readonly NatView[] {
  return FAMILIES.flatMap((family) => {
    const mine = seen.filter(({ local }) => hostOf(local).includes(":") === (family === "ipv6"));
    return mine.length === 0 && !families.has(family) ? [] : [natOf(family, mine, whereIs)];
  });
}

function natOf(family: NatView["family"], all: readonly SightingView[], whereIs: WhereIs): NatView {
  const peers = new Set(all.map(({ hit }) => hit)).size;
  const translated = all.filter(({ local, seen }) => local !== seen);
  const mapped = [...new Set(translated.map(({ seen }) => seen))];
  const view = (kind: NatKind, reason: string, portPreserved: boolean | null = null): NatView => ({
    family,
    kind,
    reason,
    mapped,
    portPreserved,
    peers,
  });
  if (all.length === 0) return view("unknown", "no peer has told yet what it sees; needs two peers");
  if (translated.length === 0) {
    return view(
      "none",
      `${count(peers)} our own address${peers === 1 ? ", one that may be on the same side of a NAT" : ""}`,
    );
  }
  const preserved = translated.every(({ local, seen }) => portOf(local) === portOf(seen));
  const kind = mappingOf(translated, whereIs);
  const near = peers - new Set(translated.map(({ hit }) => hit)).size;
  const others = near === 0 ? "" : `; ${near} on this side of it`;
  return view(kind.kind, `${kind.reason}${others}`, preserved);
}

interface Mapping {
  readonly kind: NatKind;
  readonly reason: string;
}

/** Mappings of one address of ours towards different destinations: alike, or not. */
function mappingOf(translated: readonly SightingView[], whereIs: WhereIs): Mapping {
  const byLocal = new Map<string, SightingView[]>();
  for (const one of translated) byLocal.set(one.local, [...(byLocal.get(one.local) ?? []), one]);
  let independent = 0;
  for (const group of byLocal.values()) {
    if (new Set(group.map(({ hit }) => hit)).size < 2) continue;
    if (new Set(group.map(({ seen }) => seen)).size > 1) return dependent(group, whereIs);
    const places = group
      .map(whereIs)
      .map((place, i) => (place === undefined ? `unknown ${i}` : hostOf(place)));
    if (new Set(places).size > 1) independent = Math.max(independent, group.length);
  }
  if (independent > 0) {
    return {
      kind: "endpoint-independent",
      reason: `${independent} peers at different addresses see the same`,
    };
  }
  return {
    kind: "unknown",
    reason: "there is a NAT; to tell its kind needs two peers at different addresses",
  };
}

/** Two peers at one address that see different ports: the NAT looks at ports, too. */
function dependent(group: readonly SightingView[], whereIs: WhereIs): Mapping {
  const byPlace = new Map<string, Set<string>>();
  for (const one of group) {
    const place = whereIs(one);
    if (place === undefined) continue;
    const host = hostOf(place);
    byPlace.set(host, (byPlace.get(host) ?? new Set()).add(one.seen));
  }
  if ([...byPlace.values()].some((views) => views.size > 1)) {
    return {
      kind: "address-and-port-dependent",
      reason:
        "peers at one address see different ones: two hosts behind such NATs cannot meet without a relay",
    };
  }
  return {
    kind: "address-dependent",
    reason: "each peer sees another one; whether by port, too, would need two peers at one address",
  };
}

function portOf(endpoint: string): string {
  return /:(\d+)$/.exec(endpoint.replace(/^\[.*\]/, ""))?.[1] ?? "";
}

function count(peers: number): string {
  return `${peers} ${peers === 1 ? "peer sees" : "peers see"}`;
}
