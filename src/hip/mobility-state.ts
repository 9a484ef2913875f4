/** What an association knows about where it may run: plain values (RFC 8046 5.1). */
import { after, type Endpoint, type Instant, type Path, sameEndpoint, samePath } from "../core/types.ts";
import type { LocatorStatus } from "./locator.ts";
import type { AnnouncedLocator } from "./locator-set.ts";

/** Locators of one peer that are remembered. */
export const MAX_PEER_LOCATORS = 16;
/** Pairs of addresses of one association that are remembered. */
export const MAX_PATHS = 16;
/** Address checks of one association that may run at once. */
export const MAX_CHECKS = 8;

export interface PeerLocator {
  readonly endpoint: Endpoint;
  readonly status: LocatorStatus;
  /** The P bit, where the peer set it. */
  readonly preferred: boolean;
  readonly source: "exchange" | "announced" | "observed";
  /** Announced as what a NAT made of an address: no promise that it lasts. */
  readonly reflexive?: boolean;
  readonly since: Instant;
  /** When its lifetime ends; undefined: never. */
  readonly until: Instant | undefined;
}

/** A pair of addresses that an answer came back along. */
export interface KnownPath {
  readonly path: Path;
  readonly heardAt: Instant;
  /** Since when it has answered without a failure. */
  readonly upSince: Instant;
  readonly rttMillis: number;
  /** The round trip was measured by probes. One of a check has signatures in it: it is good until there is a better. */
  readonly probed: boolean;
  /** Nothing comes through any more, since then. */
  readonly downSince: Instant | undefined;
  /** Checks that were not answered since then, and when the last of them ended. */
  readonly misses: number;
  readonly missedAt: Instant;
  /** How often it went down: it must prove itself longer each time before it is used again. */
  readonly falls: number;
}

/** Why traffic goes, or is to go, along another path. */
export type HandoverReason =
  | "address-gone"
  | "address-preferred"
  | "peer-moved"
  | "peer-preferred"
  | "source-moved"
  | "path-dead"
  | "lowest-rtt"
  | "asked";

/** An UPDATE with a nonce along one path, whose answer shows that the peer is there (RFC 8046 5.4). */
export interface Check {
  readonly path: Path;
  readonly updateId: number;
  readonly nonce: Uint8Array;
  readonly startedAt: Instant;
  /** The path is to be used when the answer is there, for this reason; undefined: it is only to be known. */
  readonly use: HandoverReason | undefined;
  /** It carried the LOCATOR_SET that `announced` names, and the peer has not answered one that did. */
  readonly told: boolean;
}

/** A change of path that is not confirmed yet. */
export interface Moving {
  readonly reason: HandoverReason;
  readonly from: Path;
  readonly since: Instant;
}

export interface Mobility {
  readonly locators: readonly PeerLocator[];
  readonly paths: readonly KnownPath[];
  readonly checks: readonly Check[];
  /** The last LOCATOR_SET that we sent, as text; what the peer believes when none was sent. */
  readonly announced: string;
  /** When the same is told again, because lifetimes in it come to an end at the peer. */
  readonly announceAgainAt: Instant | undefined;
  /** The last LOCATOR_SET that was taken (RFC 8046 5.3: the same one again is not processed); undefined: none yet. */
  readonly received: string | undefined;
  /**
   * Update ID of the newest one, or of the newest ESP_INFO that deprecated all locators: an older one that comes late
   * says nothing any more.
   */
  readonly receivedId: number | undefined;
  readonly moving: Moving | undefined;
  /** Our address as the peer sees it, where it told us. */
  readonly mapped: { readonly local: Endpoint; readonly seen: Endpoint } | undefined;
  /** The next keepalive, where a NAT is on the path (RFC 9028 4.10). */
  readonly keepaliveAt: Instant | undefined;
  /** Chosen by hand: used while it works, whatever the policy prefers. */
  readonly pinned: Path | undefined;
  /** The path in use answers to nothing, and neither does any other: everything is tried again and again. */
  readonly lostSince: Instant | undefined;
  /** The peer said that it is away until then, and will be back. */
  readonly awayUntil: Instant | undefined;
  /** Update ID of what it said last about that. */
  readonly awayId: number | undefined;
  /** When the source of a HIP packet last made us ask there. */
  readonly hintAt: Instant | undefined;
  /** Until then the peer's preference alone does not make us change the family: see `better`. */
  readonly calmUntil: Instant | undefined;
  /** When something about locators or paths is to be looked at again. */
  readonly wakeAt: Instant | undefined;
}

const NONE = [] as const;

/** When a lifetime in seconds ends that is told now; undefined: never. */
export function endOf(lifetime: number | undefined, now: Instant): PeerLocator["until"] {
  return lifetime === undefined ? undefined : after(now, lifetime * 1_000);
}

/** A locator as the peer announced it. */
export function asAnnounced(
  { endpoint, preferred, lifetime, reflexive }: AnnouncedLocator,
  status: LocatorStatus,
  since: Instant,
  now: Instant,
): PeerLocator {
  const until = endOf(lifetime, now);
  return { endpoint, status, preferred, source: "announced", reflexive, since, until };
}

/**
 * The locators of the base exchange are ACTIVE and without an end (RFC 8046 5.1); those that its packets announced are
 * to be checked (RFC 8047 4.2.8).
 */
export function mobilityAfterExchange(
  path: Path,
  now: Instant,
  announced: readonly AnnouncedLocator[] = NONE,
): Mobility {
  const listed = announced.map((one) => {
    const here = sameEndpoint(one.endpoint, path.remote);
    return asAnnounced(one, here ? "ACTIVE" : "UNVERIFIED", now, now);
  });
  const used: PeerLocator = {
    endpoint: path.remote,
    status: "ACTIVE",
    preferred: false,
    source: "exchange",
    since: now,
    until: undefined,
  };
  const all = listed.some(({ status }) => status === "ACTIVE") ? listed : [used, ...listed];
  return {
    locators: all.slice(0, MAX_PEER_LOCATORS),
    paths: NONE,
    checks: NONE,
    announced: "",
    announceAgainAt: undefined,
    received: undefined,
    receivedId: undefined,
    moving: undefined,
    mapped: undefined,
    keepaliveAt: undefined,
    pinned: undefined,
    lostSince: undefined,
    awayUntil: undefined,
    awayId: undefined,
    hintAt: undefined,
    calmUntil: undefined,
    wakeAt: undefined,
  };
}

export function locatorAt(mobility: Mobility, endpoint: Endpoint): PeerLocator | undefined {
  return mobility.locators.find((one) => sameEndpoint(one.endpoint, endpoint));
}

export function isActive(mobility: Mobility, endpoint: Endpoint): boolean {
  return locatorAt(mobility, endpoint)?.status === "ACTIVE";
}

export function pathIn(mobility: Mobility, path: Path): KnownPath | undefined {
  return mobility.paths.find((one) => samePath(one.path, path));
}

/** With this locator in the place of an equal one; when there is no room, the oldest that is not needed goes. */
export function withLocator(mobility: Mobility, locator: PeerLocator): Mobility {
  // In its place: the order is the peer's (RFC 8046 5.3).
  const place = mobility.locators.findIndex((one) => sameEndpoint(one.endpoint, locator.endpoint));
  if (place >= 0) return { ...mobility, locators: mobility.locators.with(place, locator) };
  const others = [...mobility.locators];
  if (others.length >= MAX_PEER_LOCATORS) {
    const least = others.find(({ status }) => status === "DEPRECATED") ?? others.find(isGuess);
    if (least === undefined) return mobility;
    others.splice(others.indexOf(least), 1);
  }
  return { ...mobility, locators: [...others, locator] };
}

/** A locator where a packet's source was, and nobody has said that the peer is. */
export function guess(endpoint: Endpoint, now: Instant): PeerLocator {
  return {
    endpoint,
    status: "UNVERIFIED",
    preferred: false,
    source: "observed",
    since: now,
    until: undefined,
  };
}

/** Nobody but a packet's source says that the peer is there. */
export function isGuess({ source, status }: PeerLocator): boolean {
  return source === "observed" && status === "UNVERIFIED";
}

/** Notes that an answer came back along a path. A pair that is known keeps its history. */
export function heard(
  mobility: Mobility,
  path: Path,
  rttMillis: number,
  now: Instant,
  probed = false,
): Mobility {
  const before = pathIn(mobility, path);
  const measured = before?.probed === true && before.downSince === undefined && !probed;
  const fresh: KnownPath = {
    path,
    heardAt: now,
    upSince: before !== undefined && before.downSince === undefined ? before.upSince : now,
    rttMillis: measured ? before.rttMillis : rttMillis,
    probed: probed || measured,
    downSince: undefined,
    misses: 0,
    missedAt: now,
    falls: before?.falls ?? 0,
  };
  const others = mobility.paths.filter((one) => one !== before);
  const oldest = others.toSorted((a, b) => a.heardAt - b.heardAt)[0];
  const kept = others.length >= MAX_PATHS ? others.filter((one) => one !== oldest) : others;
  return { ...mobility, paths: [...kept, fresh] };
}

/** Notes that nothing comes through a path; `missed`: a check has shown it, perhaps once more. */
export function fallen(mobility: Mobility, path: Path, now: Instant, missed = false): Mobility {
  const before = pathIn(mobility, path);
  if (before?.downSince !== undefined && !missed) return mobility;
  const again = before?.downSince !== undefined;
  const down: KnownPath = {
    path,
    heardAt: before?.heardAt ?? now,
    upSince: before?.upSince ?? now,
    rttMillis: before?.rttMillis ?? 0,
    probed: false,
    downSince: before?.downSince ?? now,
    misses: (again ? before.misses : 0) + 1,
    missedAt: now,
    falls: (before?.falls ?? 0) + (again ? 0 : 1),
  };
  return { ...mobility, paths: [...mobility.paths.filter((one) => one !== before), down].slice(-MAX_PATHS) };
}

/** The peer itself says that it is there, and would say when it is not. */
export function isPromised(locator: PeerLocator | undefined): boolean {
  return locator?.source === "announced" && locator.reflexive !== true;
}
