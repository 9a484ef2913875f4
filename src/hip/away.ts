/** A host that says beforehand that it will be gone for a while: a migration, a snapshot, a reboot. */
import { after } from "../core/types.ts";
import { get, type HasParameters } from "../wire/packet.ts";
import { HIPD_AWAY } from "../wire/private.ts";
import type { Context } from "./context.ts";
import { event } from "./context.ts";
import type { HostOutput } from "./io.ts";
import type { Open, Session } from "./states.ts";
import { sendUpdate } from "./update-send.ts";
import { isOlder } from "./update-state.ts";

/** Nobody is waited for longer than this, whatever it says: a day. */
export const MAX_AWAY_SECONDS = 24 * 60 * 60;

/** Whether the peer said that it would not be there now. */
export function isAway({ mobility }: Session, cx: Pick<Context, "now">): boolean {
  return mobility.awayUntil !== undefined && cx.now < mobility.awayUntil;
}

/** Tells the peer that we shall be away. */
export function announceAway(
  state: Open,
  seconds: number,
  cx: Context,
): { readonly next: Open; readonly out: readonly HostOutput[] } {
  return sendUpdate(state, [HIPD_AWAY.of({ seconds: Math.min(seconds, MAX_AWAY_SECONDS) })], cx);
}

/** The peer told us in the UPDATE with this ID, or said by zero that it is back: what it said last holds. */
export function takeAway(
  state: Open,
  contents: HasParameters,
  id: number,
  cx: Context,
): { readonly next: Open; readonly out: readonly HostOutput[] } {
  const said = get(contents, HIPD_AWAY);
  const { awayId } = state.session.mobility;
  if (said === undefined || (awayId !== undefined && isOlder(id, awayId))) return { next: state, out: [] };
  const seconds = Math.min(said.seconds, MAX_AWAY_SECONDS);
  const awayUntil = seconds === 0 ? undefined : after(cx.now, seconds * 1_000);
  const mobility = { ...state.session.mobility, awayUntil, awayId: id };
  return {
    next: { ...state, session: { ...state.session, mobility } },
    out: [event(cx, "peer-away", { seconds })],
  };
}
