/** The UPDATEs of address checks: what an ACK says about them, how long they are asked, and when they need a fresh Update ID. */
import { constantTimeEqual } from "../core/bytes.ts";
import { after, type Path, samePath } from "../core/types.ts";
import { isAway } from "./away.ts";
import type { Context } from "./context.ts";
import { type Check, isActive, isGuess, locatorAt } from "./mobility-state.ts";
import { type Retransmit, sentAtEarliest, sentBesides } from "./retransmit.ts";
import type { Open, Session } from "./states.ts";
import { type Outstanding, outstandingAt } from "./update-state.ts";

/** It need not be waited for any more: the peer has the set, or a newer one is under way. */
export function withoutNews(check: Check): Check {
  return check.told ? { ...check, told: false } : check;
}

/**
 * The peer has these UPDATEs, and may answer what they ask in others (RFC 8046 5.4): until then it is asked anew. Along
 * the path in use of a peer that is known to be there nothing was asked but that it takes our news.
 */
export function acknowledgedAlone(
  state: Open,
  acknowledged: readonly Outstanding[],
  echo: Uint8Array | undefined,
): Open {
  const { mobility, updates, path } = state.session;
  const unanswered = mobility.checks.filter(
    ({ updateId, nonce }) =>
      acknowledged.some(({ id }) => id === updateId) &&
      (echo === undefined || !constantTimeEqual(nonce, echo)),
  );
  if (unanswered.length === 0) return state;
  const waits = mobility.moving !== undefined || mobility.lostSince !== undefined;
  const asks = (check: Check): boolean =>
    waits || check.use !== undefined || !samePath(check.path, path) || !isActive(mobility, path.remote);
  const left = mobility.checks.filter((one) => !unanswered.includes(one) || asks(one));
  const kept = acknowledged
    .filter(({ id }) => unanswered.some((one) => one.updateId === id && asks(one)))
    .map((one) => ({ ...one, acknowledged: true }));
  const checks = unanswered.some(({ told }) => told) ? left.map(withoutNews) : left;
  const { session } = state;
  return {
    ...state,
    session: {
      ...session,
      updates: { ...updates, outstanding: [...updates.outstanding, ...kept] },
      mobility: { ...mobility, checks },
    },
  };
}

/**
 * Whether only a packet's source says that the peer is there. The path in use is more than a guess: behind a NAT the peer
 * is always somewhere that it does not announce.
 */
export function isGuessed({ mobility, path: inUse }: Session, path: Path): boolean {
  const locator = locatorAt(mobility, path.remote);
  return !samePath(path, inUse) && (locator === undefined || isGuess(locator));
}

/**
 * Whether a check has had its time: traffic waits longer for an answer than curiosity. But where only a packet's source
 * says that the peer is, anybody may be: there it is not asked for long.
 */
export function isOver(
  session: Session,
  check: Check,
  tries: number,
  cx: Pick<Context, "config" | "now">,
): boolean {
  const guess = isGuessed(session, check.path);
  if (check.use !== undefined && isAway(session, cx)) return false;
  if (check.use !== undefined && !guess) return cx.now >= after(check.startedAt, cx.config.mobility.search);
  return tries >= cx.config.retries.update;
}

/**
 * When the question of a check, which is said with more in it now, is to be repeated. News are not given up with the
 * question whose last wait they came into; but no question waits for ever, however often there is something new to say.
 */
export function lastWait(session: Session, check: Check, cx: Context): Retransmit | undefined {
  const said = outstandingAt(session.updates, check.updateId)?.retransmit;
  if (said === undefined) return undefined;
  const { config } = cx;
  const ends = isOver(session, check, said.tries, { config, now: said.due });
  const waitedLonger = isOver(session, check, said.tries - 1, { config, now: sentAtEarliest(said) });
  return ends && !waitedLonger ? sentBesides(said, cx.now, cx.random) : undefined;
}

/** Questions whose UPDATEs were acknowledged get fresh ones when it is time to ask again. */
export function askedAnew(state: Open, cx: Pick<Context, "now">): Open {
  let now = state;
  for (const one of state.session.updates.outstanding) {
    if (one.acknowledged && one.retransmit.due <= cx.now) now = afresh(now, one.id, {});
  }
  return now;
}

/** The UPDATE of a check, changed, with our next Update ID: still to be signed. */
export function afresh(state: Open, updateId: number, change: Partial<Outstanding>): Open {
  const { session } = state;
  const { updates, mobility } = session;
  const id = updates.nextId;
  const fresh = { id, bytes: undefined, outdated: false, acknowledged: false };
  const outstanding = updates.outstanding.map((one) =>
    one.id === updateId ? { ...one, ...change, ...fresh } : one,
  );
  const checks = mobility.checks.map((one) => (one.updateId === updateId ? { ...one, updateId: id } : one));
  return {
    ...state,
    session: {
      ...session,
      updates: { ...updates, nextId: (id + 1) >>> 0, outstanding },
      mobility: { ...mobility, checks },
    },
  };
}
