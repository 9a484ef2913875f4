/** A LOCATOR_SET of the peer: each replaces the last (RFC 8046 5.3). */
import { endpointText, type Path, sameEndpoint } from "../core/types.ts";
import { NOTIFY } from "../wire/notification.ts";
import { get, type HasParameters } from "../wire/packet.ts";
import { LOCATOR_SET } from "../wire/rfc8046.ts";
import { dropChecks, type Stay, stay, withMobility } from "./checks.ts";
import { type Context, drop, event, type Received } from "./context.ts";
import { type AnnouncedLocator, announcedLocators } from "./locator-set.ts";
import { saPaths, usePath } from "./mobility.ts";
import {
  asAnnounced,
  endOf,
  guess,
  isActive,
  locatorAt,
  MAX_PEER_LOCATORS,
  type PeerLocator,
  pathIn,
} from "./mobility-state.ts";
import { candidates } from "./path-choice.ts";
import type { Open, Session } from "./states.ts";
import { isOlder } from "./update-state.ts";

/** Takes the LOCATOR_SET in the UPDATE with this ID, where there is one. */
export function takeLocatorSet(
  state: Open,
  contents: HasParameters,
  received: Received,
  id: number,
  cx: Context,
): Stay {
  const set = get(contents, LOCATOR_SET);
  if (set === undefined) return stay(state);
  const { mobility } = state.session;
  if (isLate(state, id)) return stay(state, drop("locator_set_old"));
  const { path, packet } = received;
  const { list, unsupported } = announcedLocators(set.locators, path.carrier, cx.config.udpPort);
  const told =
    unsupported === undefined
      ? []
      : cx.notify(NOTIFY.LOCATOR_TYPE_UNSUPPORTED, unsupported, path, packet.bytes.length);
  const text = list.map(textOf).join(" ");
  // 5.3: one that was processed lately came again, perhaps from another address: only its lifetimes begin anew.
  if (text === mobility.received)
    return stay(
      withMobility(state, { receivedId: id, locators: renewed(mobility.locators, list, cx) }),
      told,
    );
  const out = [event(cx, "peer-locators", { locators: text })];
  // 4: no locator at all deprecates every address. There is none to turn to.
  if (set.locators.length === 0) {
    return stay(allDeprecated(state, id, cx), out);
  }
  const locators = merged(state, list, received, cx);
  const merging = withMobility(state, { received: text, receivedId: id, locators });
  // Where the peer says that it is not nobody answers, and what we told there is to be told elsewhere; a late answer would
  // make a forgotten one a place of the peer's again.
  const known = dropChecks(merging, ({ remote }, use) => {
    const listed = locators.some(
      ({ endpoint, status }) => status !== "DEPRECATED" && sameEndpoint(endpoint, remote),
    );
    return use === undefined && !listed && locatorAt(mobility, remote) !== undefined;
  });
  const { session } = known;
  const current = locatorAt(session.mobility, session.path.remote);
  if (current !== undefined && current.status !== "DEPRECATED") {
    // 5.3: one that was DEPRECATED and is listed again has to answer anew, also where it never went out of use.
    const anew =
      current.status === "UNVERIFIED" && locatorAt(mobility, current.endpoint)?.status !== "UNVERIFIED";
    return stay(known, told, out, anew ? saPaths(session, cx) : []);
  }
  const moved = usePath(known, whereNow(session, list, path, cx), "peer-moved", false, cx);
  return stay(moved.next, told, out, moved.out);
}

/** The peer left the address that we send to: a verified one that it lists (5.5), else where its packet came from. */
function whereNow(session: Session, list: readonly AnnouncedLocator[], from: Path, cx: Context): Path {
  const { mobility } = session;
  const v6 = from.remote.address.includes(":");
  const verified = list.find(
    ({ endpoint }) => endpoint.address.includes(":") === v6 && isActive(mobility, endpoint),
  );
  if (verified !== undefined) return { ...from, remote: verified.endpoint };
  const works = (path: Path): boolean => {
    const known = pathIn(mobility, path);
    return known !== undefined && known.downSince === undefined && isActive(mobility, path.remote);
  };
  return candidates(session, cx).find(works) ?? from;
}

function textOf({ endpoint, preferred, lifetime }: AnnouncedLocator): string {
  return `${preferred ? "*" : ""}${endpointText(endpoint)}/${lifetime ?? ""}`;
}

/** 5.2: what a peer says about its locators replaces what it said before, in whatever order that comes (RFC 7401 6.11). */
function isLate({ session }: Open, id: number): boolean {
  const { receivedId } = session.mobility;
  return receivedId !== undefined && isOlder(id, receivedId);
}

/** 5.3 case 4: ESP_INFO in the UPDATE with this ID deprecates the only SA, unless a newer one was heard. */
export function saDeprecated(state: Open, id: number, cx: Context): Open {
  return isLate(state, id) ? state : allDeprecated(state, id, cx);
}

/** As by a set without any locator: a newer set that lists them again is taken, and they have to answer anew. */
function allDeprecated(state: Open, id: number, cx: Context): Open {
  const locators = state.session.mobility.locators.map((one) => deprecated(one, cx));
  return withMobility(state, { received: "", receivedId: id, locators });
}

function deprecated(one: PeerLocator, cx: Context): PeerLocator {
  return one.status === "DEPRECATED"
    ? one
    : { ...one, status: "DEPRECATED", preferred: false, since: cx.now };
}

/** The locators of a set that is known already, with new lifetimes (5.3); one that had ended is to be checked (5.1). */
function renewed(
  locators: readonly PeerLocator[],
  list: readonly AnnouncedLocator[],
  cx: Context,
): readonly PeerLocator[] {
  if (!list.some(({ lifetime }) => lifetime !== undefined)) return locators;
  return locators.map((one) => {
    const listed = list.find(({ endpoint }) => sameEndpoint(endpoint, one.endpoint));
    if (listed?.lifetime === undefined) return one;
    const until = endOf(listed.lifetime, cx.now);
    return one.status === "DEPRECATED"
      ? { ...one, status: "UNVERIFIED", preferred: listed.preferred, since: cx.now, until }
      : { ...one, until };
  });
}

/** Listed ones with their states, new ones UNVERIFIED; all others DEPRECATED, but for the source of this very packet. */
function merged(
  state: Open,
  list: readonly AnnouncedLocator[],
  { path }: Received,
  cx: Context,
): readonly PeerLocator[] {
  const { mobility } = state.session;
  const listed = list.map((one) => {
    const before = locatorAt(mobility, one.endpoint);
    const status = before?.status === "ACTIVE" ? "ACTIVE" : "UNVERIFIED";
    return asAnnounced(one, status, before?.status === status ? before.since : cx.now, cx.now);
  });
  const others = mobility.locators
    .filter(({ endpoint }) => !list.some((one) => sameEndpoint(one.endpoint, endpoint)))
    // Where the peer never answered and says itself that it is not: that is forgotten.
    .filter(({ status, endpoint }) => status !== "UNVERIFIED" || sameEndpoint(endpoint, path.remote))
    .map((one) => (sameEndpoint(one.endpoint, path.remote) ? one : deprecated(one, cx)));
  const source = [...listed, ...others].some(({ endpoint }) => sameEndpoint(endpoint, path.remote))
    ? []
    : [guess(path.remote, cx.now)];
  // The newest of those that were left are kept: one of them may be all that there is some day.
  const room = Math.max(0, MAX_PEER_LOCATORS - listed.length - source.length);
  return [...listed, ...source, ...others.toSorted((a, b) => b.since - a.since).slice(0, room)];
}
