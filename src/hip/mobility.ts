/** Keeps an association reachable while addresses come and go (RFC 8046 5). */
import { fraction } from "../core/random.ts";
import { after, type Instant, type Path, pathText, sameEndpoint, samePath } from "../core/types.ts";
import { dropChecks, failCheck, mustAnnounce, type Stay, startCheck, stay, withMobility } from "./checks.ts";
import { type Context, drop, event } from "./context.ts";
import type { HostOutput } from "./io.ts";
import {
  type Check,
  fallen,
  guess,
  type HandoverReason,
  heard,
  isActive,
  isPromised,
  locatorAt,
  type Mobility,
  pathIn,
  withLocator,
} from "./mobility-state.ts";
import {
  better,
  candidates,
  hasLocal,
  isIpv6,
  localEndpoints,
  pathDeadline,
  recheckAt,
} from "./path-choice.ts";
import type { Open, Session } from "./states.ts";

/** So long packets may still be on their way from an address that the peer has left. */
const LATE_MILLIS = 1_000;

/** Sources of HIP packets are heeded this often. */
const HINT_MILLIS = 1_000;

/** What can wait waits this long at least, twice as long at most. */
const SPARE_MILLIS = 2_000;
/** After a change of the family the peer's preference alone does not change it back for so long at least, twice as long at most. */
const CALM_MILLIS = 1_000;
/** A round trip is noted again after this, or when it is another one by more than this share. */
const STALE_MILLIS = 30_000;
const RTT_CHANGE = 0.25;

/** Sends data along another path: `confirmed` when an answer came back along it lately. */
export function usePath(
  state: Open,
  path: Path,
  reason: HandoverReason,
  confirmed: boolean,
  cx: Context,
): Stay {
  const { session } = state;
  const { mobility } = session;
  const moving = mobility.moving ?? { reason, from: session.path, since: cx.now };
  const next = withMobility({ ...state, session: { ...session, path } } as Open, {
    moving: confirmed ? undefined : moving,
    lostSince: confirmed ? undefined : mobility.lostSince,
    calmUntil:
      isIpv6(path.remote.address) === isIpv6(session.path.remote.address) ? mobility.calmUntil : calm(cx),
  });
  return stay(next, saPaths(next.session, cx), confirmed ? handover(moving, path, cx) : []);
}

/** Tells the data plane where to send, and whether freely (RFC 8046 5.6). */
export function saPaths(session: Session, cx: Pick<Context, "peer">): readonly HostOutput[] {
  const { path, outbound, rekey } = session;
  const verified = isActive(session.mobility, path.remote);
  const spis = [outbound, ...(rekey?.keyed?.peerSpi === undefined ? [] : [rekey.keyed.peerSpi])];
  return spis.map((spi) => ({ type: "sa-path", peer: cx.peer, spi, path, verified }));
}

/**
 * Whether data goes on credit: the address in use has not answered (RFC 8046 5.6). One that is merely not announced any
 * more has, unless we only just turned to it.
 */
export function onCredit({ mobility, path }: Session): boolean {
  const status = locatorAt(mobility, path.remote)?.status;
  return status !== "ACTIVE" && (status !== "DEPRECATED" || mobility.moving !== undefined);
}

function handover(moving: NonNullable<Mobility["moving"]>, to: Path, cx: Context): HostOutput {
  return event(cx, "handover", {
    reason: moving.reason,
    from: pathText(moving.from),
    to: pathText(to),
    millis: cx.now - moving.since,
  });
}

/** The peer answered along a path. */
export function answered(state: Open, check: Check, wasVerified: boolean, cx: Context): Stay {
  const { session } = state;
  const { mobility, path } = session;
  if (samePath(check.path, path)) {
    const { moving } = mobility;
    const next = withMobility(state, { moving: undefined, lostSince: undefined });
    return stay(
      next,
      wasVerified ? [] : saPaths(next.session, cx),
      moving === undefined ? [] : handover(moving, path, cx),
    );
  }
  // While traffic waits, any path that answers is taken, whatever it was asked for.
  const waits = mobility.moving !== undefined || mobility.lostSince !== undefined;
  const dead = pathIn(mobility, path)?.downSince !== undefined;
  const wanted = check.use === "asked" || check.use === "source-moved";
  if (!waits && !dead && !wanted) return stay(state);
  const pinned = check.use === "asked" ? check.path : mobility.pinned;
  const reason = check.use ?? urgency(mobility) ?? "path-dead";
  return usePath(withMobility(state, { pinned }), check.path, reason, true, cx);
}

/** Why traffic waits for a path that answers; undefined: it does not. */
function urgency({ moving, lostSince }: Mobility): HandoverReason | undefined {
  return moving?.reason ?? (lostSince === undefined ? undefined : "path-dead");
}

/** Does what is to be done now: leaves an address that is gone, tells the peer, checks what is new, takes the best path. */
export function reconcile(state: Open, cx: Context): Stay {
  const out: HostOutput[] = [];
  let now = withoutExpired(state, cx);
  const go = (next: Stay): void => {
    now = next.next;
    out.push(...next.out);
  };
  if (!hasLocal(now.session, cx)) go(leaveAddress(now, cx));
  let later: Instant | undefined;
  if (now.name === "ESTABLISHED") {
    if (mustAnnounce(now.session, cx) && hasLocal(now.session, cx)) {
      if (cx.maySpare()) go(startCheck(now, now.session.path, undefined, cx) ?? stay(now));
      else later = spareAt(cx);
    }
    go(checkCurrent(now, cx));
    const checked = checkUnknown(now, cx);
    go(checked);
    later ??= checked.postponed ? spareAt(cx) : undefined;
    // On the way elsewhere nothing is better, unless nothing comes through there and something does here.
    const { moving } = now.session.mobility;
    const dead = pathIn(now.session.mobility, now.session.path)?.downSince !== undefined;
    const best = moving === undefined || dead ? better(now.session, cx) : undefined;
    if (best !== undefined) {
      go(usePath(now, best.path, best.reason, true, cx));
      if (mustAnnounce(now.session, cx)) go(startCheck(now, best.path, best.reason, cx) ?? stay(now));
    }
  }
  const wake = wakeAt(now.session, cx);
  const due = later !== undefined && (wake === undefined || later < wake) ? later : wake;
  return stay(due === now.session.mobility.wakeAt ? now : withMobility(now, { wakeAt: due }), out);
}

/** Two hosts that follow each other's preference would change places for ever: one of them shall be the first to see both agree. */
function calm(cx: Context): Instant {
  return after(cx.now, CALM_MILLIS * (1 + fraction(cx.random)));
}

/** When what could wait is tried again: not all at once. */
function spareAt(cx: Context): Instant {
  return after(cx.now, SPARE_MILLIS * (1 + fraction(cx.random)));
}

/**
 * Whether nothing can be sent at all, for as long as an answer would be waited for: none of our addresses is of a family
 * that the peer has. A new exchange may find it elsewhere. A host without any address waits until it has one.
 */
export function isStranded(session: Session, cx: Context): boolean {
  const until = strandedUntil(session, cx);
  return until !== undefined && until <= cx.now;
}

function strandedUntil(session: Session, cx: Context): Instant | undefined {
  const { lostSince } = session.mobility;
  if (lostSince === undefined || (cx.own ?? []).length === 0 || hasLocal(session, cx)) return undefined;
  return after(lostSince, cx.config.mobility.search);
}

function wakeAt(session: Session, cx: Context): Mobility["wakeAt"] {
  const until = strandedUntil(session, cx);
  // It may be over already, when an address of the wrong family came late.
  const stranded = until === undefined ? undefined : after(cx.now, Math.max(1, until - cx.now));
  const ends = session.mobility.locators.map(({ until }) => until).filter((until) => until !== undefined);
  const paths = pathDeadline(session, cx.config.mobility, cx.now)?.at;
  const { calmUntil } = session.mobility;
  const all = [...ends, ...[paths, stranded, calmUntil].filter((at) => at !== undefined)];
  const later = all.filter((at) => at > cx.now);
  return later.length === 0 ? undefined : (Math.min(...later) as Mobility["wakeAt"]);
}

/** RFC 8046 5.1: a lifetime that ended deprecates. */
function withoutExpired(state: Open, cx: Context): Open {
  const { locators } = state.session.mobility;
  const over = (until: number | undefined): boolean => until !== undefined && until <= cx.now;
  if (!locators.some(({ until, status }) => over(until) && status !== "DEPRECATED")) return state;
  return withMobility(state, {
    locators: locators.map((one) =>
      over(one.until) ? { ...one, status: "DEPRECATED", since: cx.now } : one,
    ),
  });
}

/** The address that we sent from is gone: another one at once, and all that may work are asked. */
function leaveAddress(state: Open, cx: Context): Stay {
  const { session } = state;
  const locals = localEndpoints(session, cx);
  const live = dropChecks(state, ({ local }) => !locals.some((one) => sameEndpoint(one, local)));
  const usual = candidates(live.session, cx);
  const all = usual.length > 0 ? usual : candidates(live.session, cx, true);
  const works = (path: Path): boolean => {
    const known = pathIn(live.session.mobility, path);
    return known !== undefined && known.downSince === undefined;
  };
  // RFC 8046 5.5: an ACTIVE one where there is any.
  const active = all.filter(({ remote }) => isActive(live.session.mobility, remote));
  const first = active.find(works) ?? active[0] ?? all.find(works) ?? all[0];
  if (first === undefined)
    return stay(withMobility(live, { lostSince: live.session.mobility.lostSince ?? cx.now }));
  const moved = usePath(live, first, "address-gone", false, cx);
  const asked = askAll(moved.next, [first, ...all], "address-gone", cx);
  return stay(asked.next, moved.out, asked.out);
}

/** Asks along all these paths, as many as may be asked at once. */
function askAll(state: Open, paths: readonly Path[], reason: HandoverReason | undefined, cx: Context): Stay {
  let now = state;
  const out: HostOutput[] = [];
  for (const path of paths) {
    const begun = startCheck(now, path, reason, cx);
    if (begun === undefined) continue;
    now = begun.next;
    out.push(...begun.out);
  }
  return stay(now, out);
}

/**
 * The path in use must answer, too: when the peer is not known to be there (RFC 8046 5.4), when we turned to it, and when
 * nothing comes through.
 */
function checkCurrent(state: Open, cx: Context): Stay {
  const { mobility, path } = state.session;
  const known = pathIn(mobility, path);
  const quiet = known?.downSince !== undefined && cx.now < recheckAt(known, cx.config.mobility);
  const use = hasLocal(state.session, cx) ? urgency(mobility) : mobility.moving?.reason;
  // While traffic waits something is always asked, unless our address was gone: now that it is back the peer may be, too.
  const back = use !== undefined && !mobility.checks.some((one) => one.use !== undefined);
  const open = use !== undefined || locatorAt(mobility, path.remote)?.status === "UNVERIFIED";
  if (!open || (quiet && !back)) return stay(state);
  if (mobility.checks.some((one) => samePath(one.path, path))) return stay(state);
  return startCheck(state, path, use, cx) ?? stay(state);
}

/**
 * Pairs that were never heard of, or that were silent long enough ago, are asked: to know them before they are needed.
 * While traffic waits those that worked are asked, too: they may have come back only now.
 */
function checkUnknown(state: Open, cx: Context): Stay & { readonly postponed: boolean } {
  let now = state;
  const out: HostOutput[] = [];
  for (const path of candidates(state.session, cx)) {
    const known = pathIn(now.session.mobility, path);
    const quiet = known?.downSince !== undefined && cx.now < recheckAt(known, cx.config.mobility);
    const use = urgency(now.session.mobility);
    // An address that was left and is back has to answer anew (RFC 8046 5.3).
    const works =
      known !== undefined && known.downSince === undefined && isActive(now.session.mobility, path.remote);
    if (samePath(path, now.session.path) || quiet || (works && use === undefined)) continue;
    if (now.session.mobility.checks.some((one) => samePath(one.path, path))) continue;
    if (use === undefined && !cx.maySpare()) return { ...stay(now, out), postponed: true };
    const asked = askAll(now, [path], use, cx);
    now = asked.next;
    out.push(...asked.out);
  }
  return { ...stay(now, out), postponed: false };
}

/** Nothing comes through a path any more: another one that works at once, and all others are asked. */
export function pathDown(state: Open, path: Path, cx: Context): Stay {
  const { session } = state;
  const down: Open = {
    ...state,
    session: { ...session, mobility: fallen(session.mobility, path, cx.now) },
  };
  if (!samePath(path, session.path)) return reconcile(down, cx);
  const { mobility } = down.session;
  const pinned =
    mobility.pinned !== undefined && samePath(mobility.pinned, path) ? undefined : mobility.pinned;
  const best = better(down.session, cx);
  const left =
    best === undefined
      ? stay(withMobility(down, { pinned, lostSince: mobility.lostSince ?? cx.now }))
      : usePath(withMobility(down, { pinned }), best.path, "path-dead", false, cx);
  const asked = askAll(left.next, candidates(left.next.session, cx, true), "path-dead", cx);
  return stay(asked.next, left.out, asked.out);
}

/**
 * A check got no answer. The last one that traffic waited for, or one when it has waited for long: undefined, the peer is nowhere.
 * Silent paths are asked again and again, so that there is not always a last one.
 */
export function unanswered(state: Open, check: Check, cx: Context): Stay | undefined {
  const failed = failCheck(state, check, cx);
  const { moving, lostSince, checks } = failed.next.session.mobility;
  const waits = moving !== undefined || lostSince !== undefined;
  const since = Math.min(moving?.since ?? cx.now, lostSince ?? cx.now);
  const long = cx.now >= since + cx.config.mobility.search;
  const urgent = checks.filter(({ use }) => use !== undefined);
  const untried = urgent.some(
    ({ path }) => pathIn(failed.next.session.mobility, path)?.downSince === undefined,
  );
  if (check.use !== undefined && waits && (urgent.length === 0 || (long && !untried))) return undefined;
  if (check.use !== undefined && waits) return failed;
  // Nobody waited for it, but it went where data go: that path is dead, whether anybody else notices or not.
  const inUse = samePath(check.path, failed.next.session.path);
  const next = inUse ? pathDown(failed.next, check.path, cx) : reconcile(failed.next, cx);
  return stay(next.next, failed.out, next.out);
}

/** How long a round trip along a path takes: it works. */
export function pathRtt(state: Open, path: Path, millis: number, cx: Context): Stay {
  const { session } = state;
  const { mobility } = session;
  if (!isActive(mobility, path.remote)) return stay(state);
  const before = pathIn(mobility, path);
  // News every few seconds that are none cost more than they tell.
  const same =
    before?.probed === true &&
    before.downSince === undefined &&
    mobility.lostSince === undefined &&
    cx.now - before.heardAt < STALE_MILLIS &&
    Math.abs(before.rttMillis - millis) <= before.rttMillis * RTT_CHANGE + 1;
  if (same) return stay(state);
  const known: Open = {
    ...state,
    session: { ...session, mobility: heard(mobility, path, millis, cx.now, true) },
  };
  const found =
    samePath(path, session.path) && mobility.lostSince !== undefined
      ? withMobility(known, { lostSince: undefined })
      : known;
  return reconcile(found, cx);
}

/**
 * Authenticated ESP came from somewhere else: only a hint, which anybody on the way can make with a packet of the peer's
 * (RFC 8046 6.2.1). It starts a check; the answer to that moves the path.
 */
export function sourceMoved(state: Open, path: Path, cx: Context): Stay {
  const { mobility } = state.session;
  if (samePath(path, state.session.path)) return stay(state);
  const locator = locatorAt(mobility, path.remote);
  // Behind a NAT it may be at a former address again, and not know it.
  const late = locator?.status === "DEPRECATED" && cx.now < locator.since + LATE_MILLIS;
  // On its way still when the peer left that address; or an address that it tells us about when it prefers it.
  const known = pathIn(mobility, path);
  const trouble =
    mobility.lostSince !== undefined || pathIn(mobility, state.session.path)?.downSince !== undefined;
  if (!trouble && late) return stay(state, drop("moved_deprecated"));
  // The peer has chosen another address of ours: that is its affair while ours to it works.
  const { path: current } = state.session;
  const toUs = path.local.address !== current.local.address || sameEndpoint(path.remote, current.remote);
  const works = known !== undefined && known.downSince === undefined;
  if (!trouble && works && (toUs || isPromised(locator))) return stay(state);
  const seen =
    locator !== undefined && locator.status !== "DEPRECATED"
      ? mobility
      : withLocator(mobility, guess(path.remote, cx.now));
  const next: Open = { ...state, session: { ...state.session, mobility: seen } };
  // While an address that the peer lists works, another one is only to be known.
  const listed = isPromised(locatorAt(mobility, state.session.path.remote));
  return startCheck(next, path, (listed || toUs) && !trouble ? undefined : "source-moved", cx) ?? stay(next);
}

/** An authenticated HIP packet came from somewhere else: as with ESP, but it can be repeated by anybody at any time. */
export function sourceSeen(state: Open, path: Path, cx: Context): Stay {
  const { mobility } = state.session;
  if (samePath(path, state.session.path) || pathIn(mobility, path) !== undefined) return stay(state);
  if (cx.now < (mobility.hintAt ?? 0) + HINT_MILLIS) return stay(state, drop("source_hints"));
  return sourceMoved(withMobility(state, { hintAt: cx.now }), path, cx);
}

/** By hand: the first pair with these addresses; without any, the choice is left to the policy again. */
export function moveByHand(
  state: Open,
  local: string | undefined,
  remote: string | undefined,
  cx: Context,
): Stay {
  if (local === undefined && remote === undefined)
    return reconcile(withMobility(state, { pinned: undefined }), cx);
  const fits = (path: Path): boolean =>
    (local === undefined || path.local.address === local) &&
    (remote === undefined || path.remote.address === remote);
  const path = candidates(state.session, cx, true).find(fits);
  if (path === undefined) return stay(state, event(cx, "handover-failed", { reason: "no_such_path" }));
  if (samePath(path, state.session.path)) return stay(withMobility(state, { pinned: path }));
  return startCheck(state, path, "asked", cx) ?? stay(state);
}
