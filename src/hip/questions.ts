/** The UPDATEs of address checks: what an ACK says about them, and when they need a fresh Update ID (RFC 7401 6.12.2). */
import { constantTimeEqual } from "../core/bytes.ts";
import { samePath } from "../core/types.ts";
import type { Context } from "./context.ts";
import { type Check, isActive } from "./mobility-state.ts";
import type { Open } from "./states.ts";
import type { Outstanding } from "./update-state.ts";

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
