/** Which pairs of addresses an association could use, and which of those it should (RFC 8046 5.5). */
import {
  after,
  type Deadline,
  type Endpoint,
  earliest,
  type Instant,
  type Path,
  sameEndpoint,
  samePath,
} from "../core/types.ts";
import type { MobilityConfig } from "./config.ts";
import type { Context } from "./context.ts";
import {
  type HandoverReason,
  isActive,
  isGuess,
  isPromised,
  type KnownPath,
  type PeerLocator,
  pathIn,
} from "./mobility-state.ts";
import type { Session } from "./states.ts";

/** Pairs that are looked at. */
const MAX_CANDIDATES = 32;
/** A shorter round trip must be this much shorter to be worth a change: by a share and by milliseconds. */
const RTT_SHARE = 0.8;
const RTT_MILLIS = 2;

/** Our own addresses that packets can leave from, best first; the one in use where we were never told. */
export function localEndpoints(session: Session, cx: Pick<Context, "own">): readonly Endpoint[] {
  const { local } = session.path;
  const own = cx.own?.filter((one) => one.local) ?? [];
  if (cx.own === undefined) return [local];
  return own
    .toSorted((a, b) => b.preference - a.preference)
    .map(({ address }) => ({ address, port: local.port }));
}

/** Whether packets can still leave from the address in use. */
export function hasLocal(session: Session, cx: Pick<Context, "own">): boolean {
  const { address } = session.path.local;
  return address === "" || localEndpoints(session, cx).some((one) => one.address === address);
}

/**
 * Pairs of one family, best first: what an operator chose and what is about to go, then where the peer wants to be
 * reached, the family in use, then where we like to send from, then the peer's own order. `desperate`: also what the peer no longer announces and what the configuration says, last.
 */
export function candidates(
  session: Session,
  cx: Pick<Context, "own" | "policy">,
  desperate = false,
): readonly Path[] {
  const { carrier } = session.path;
  // What a packet's source suggests is asked once, along the way that the packet came.
  const known = session.mobility.locators.filter((one) => !isGuess(one)).toSorted(byWord);
  const wanted = (one: PeerLocator): boolean => one.status !== "DEPRECATED";
  const remotes = known.filter(wanted).map(({ endpoint, preferred }) => ({ endpoint, preferred }));
  if (desperate) {
    const others = [
      ...known.filter((one) => !wanted(one)).map(({ endpoint }) => endpoint),
      // An association may have another carrier than its peer's configuration says: a port tells UDP.
      ...(cx.policy?.locators ?? []).filter(
        ({ port }) => (port === 0 ? cx.policy?.carrier : "udp") === carrier,
      ),
    ];
    for (const endpoint of others) {
      if (!remotes.some((one) => sameEndpoint(one.endpoint, endpoint)))
        remotes.push({ endpoint, preferred: false });
    }
  }
  // A path that works is not left for another family's sake alone.
  const v6 = isIpv6(session.path.remote.address);
  const pairs: { readonly path: Path; readonly order: readonly number[] }[] = [];
  for (const [l, local] of localEndpoints(session, cx).entries()) {
    for (const [r, remote] of remotes.entries()) {
      if (local.address !== "" && isIpv6(local.address) !== isIpv6(remote.endpoint.address)) continue;
      const path: Path = { carrier, local, remote: remote.endpoint };
      pairs.push({
        path,
        order: [
          wish(local, cx),
          remote.preferred ? 0 : 1,
          isIpv6(remote.endpoint.address) === v6 ? 0 : 1,
          l,
          r,
        ],
      });
    }
  }
  return pairs
    .toSorted((a, b) => compare(a.order, b.order))
    .slice(0, MAX_CANDIDATES)
    .map(({ path }) => path);
}

/** Preferences from here on were chosen by an operator; those below the second number are of addresses about to go. */
export const CHOSEN = 2 ** 15;
export const LAST_RESORT = 2 ** 14;

/** What counts more than the peer's P bit: 0 an operator's choice, 2 an address that is about to go. */
function wish({ address }: Endpoint, cx: Pick<Context, "own">): number {
  const preference = cx.own?.find((one) => one.local && one.address === address)?.preference;
  if (preference === undefined) return 1;
  return preference >= CHOSEN ? 0 : preference < LAST_RESORT ? 2 : 1;
}

/**
 * The address of ours that the peer should send to: the best one through which anything comes, by our own ranking, of
 * the family in use where that is as good. Not simply the one in use, since that one was perhaps the peer's choice.
 */
export function preferredLocal(session: Session, cx: Pick<Context, "own" | "config" | "now">): string {
  const { mobility, path } = session;
  const config = cx.config.mobility;
  const locals = localEndpoints(session, cx);
  const { pinned } = mobility;
  if (pinned !== undefined && locals.some((one) => one.address === pinned.local.address))
    return pinned.local.address;
  if (config.pathPolicy === "lowest-rtt") return path.local.address;
  const works = ({ address }: Endpoint): boolean => {
    const known = mobility.paths.filter((one) => one.path.local.address === address);
    const good = (one: KnownPath): boolean =>
      one.downSince === undefined && cx.now >= one.upSince + holdMillis(one, config);
    return known.length === 0 || known.some(good);
  };
  const good = locals.filter(works).toSorted((a, b) => wish(a, cx) - wish(b, cx));
  const [best] = good;
  const v6 = isIpv6(path.local.address);
  const here = good.find((one) => isIpv6(one.address) === v6);
  const stays = best !== undefined && here !== undefined && wish(here, cx) <= wish(best, cx);
  return ((stays ? here : best) ?? path.local).address;
}

/** RFC 8046 5.3: what the peer lists comes first, in its order; of others the newest. */
function byWord(a: PeerLocator, b: PeerLocator): number {
  const listed = Number(isPromised(b)) - Number(isPromised(a));
  return listed !== 0 || isPromised(a) ? listed : b.since - a.since;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, value] of a.entries()) if (value !== b[i]) return value - (b[i] as number);
  return 0;
}

export function isIpv6(address: string): boolean {
  return address.includes(":");
}

/** How long a path that had failed must work before it is used by itself again. */
export function holdMillis(known: KnownPath, config: MobilityConfig): number {
  return known.falls === 0 ? 0 : Math.min(config.hold * 2 ** (known.falls - 1), config.holdMax);
}

/** When a path that did not answer is asked again: less and less often. */
export function recheckAt(known: KnownPath, config: MobilityConfig): Instant {
  return after(known.missedAt, Math.min(config.recheck * 2 ** Math.max(0, known.misses - 1), config.holdMax));
}

/** Whether data may go along a path by the policy's choice: it answers, its hold is over, the peer is known to be there. */
function usable(session: Session, path: Path, config: MobilityConfig, now: Instant): boolean {
  const known = pathIn(session.mobility, path);
  if (known === undefined || known.downSince !== undefined) return false;
  return isActive(session.mobility, path.remote) && now >= known.upSince + holdMillis(known, config);
}

/** The path that should be used in place of the one in use, and why; undefined: it is the best. */
export function better(
  session: Session,
  cx: Pick<Context, "own" | "policy" | "config" | "now">,
): { readonly path: Path; readonly reason: HandoverReason } | undefined {
  const { mobility, path: current } = session;
  const config = cx.config.mobility;
  const all = candidates(session, cx);
  const { pinned } = mobility;
  if (pinned !== undefined && all.some((one) => samePath(one, pinned))) {
    const works = pathIn(mobility, pinned)?.downSince === undefined && isActive(mobility, pinned.remote);
    if (works) return samePath(pinned, current) ? undefined : { path: pinned, reason: "asked" };
  }
  const good = all.filter((one) => usable(session, one, config, cx.now));
  const inUse = pathIn(mobility, current);
  if (config.pathPolicy === "lowest-rtt" && inUse !== undefined && inUse.downSince === undefined) {
    const rtt = (one: Path): number => pathIn(mobility, one)?.rttMillis ?? Number.POSITIVE_INFINITY;
    const fastest = good.toSorted((a, b) => rtt(a) - rtt(b))[0];
    if (fastest === undefined || samePath(fastest, current)) return undefined;
    const worth = rtt(fastest) < inUse.rttMillis * RTT_SHARE && rtt(fastest) < inUse.rttMillis - RTT_MILLIS;
    return worth ? { path: fastest, reason: "lowest-rtt" } : undefined;
  }
  const first = good[0];
  if (first === undefined || samePath(first, current)) return undefined;
  const place = all.findIndex((one) => samePath(one, current));
  const down = inUse?.downSince !== undefined;
  if (!down && place !== -1 && place < all.findIndex((one) => samePath(one, first))) return undefined;
  const reason = down
    ? "path-dead"
    : sameEndpoint(first.remote, current.remote)
      ? "address-preferred"
      : "peer-preferred";
  const otherFamily = isIpv6(first.remote.address) !== isIpv6(current.remote.address);
  if (reason === "peer-preferred" && otherFamily && (mobility.calmUntil ?? 0) > cx.now) return undefined;
  return { path: first, reason };
}

/** When a path's hold ends or a silent one may be checked again. */
export function pathDeadline(session: Session, config: MobilityConfig, now: Instant): Deadline | undefined {
  let due: Deadline | undefined;
  for (const known of session.mobility.paths) {
    const at =
      known.downSince === undefined
        ? after(known.upSince, holdMillis(known, config))
        : recheckAt(known, config);
    if (at > now) due = earliest(due, { at, why: "path may be used again" });
  }
  return due;
}
