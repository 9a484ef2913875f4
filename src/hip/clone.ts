/** Two hosts with one identity: the first keeps its association while it answers. */
import { utf8 } from "../core/bytes.ts";
import { after, endpointText, type Instant, type Path, sameEndpoint } from "../core/types.ts";
import { NOTIFY } from "../wire/notification.ts";
import { ECHO_REQUEST_SIGNED } from "../wire/rfc7401.ts";
import { type Context, drop, event, type Pending, type Step, step } from "./context.ts";
import type { I2Accepted } from "./job.ts";
import { sentOnce } from "./retransmit.ts";
import { type Open, type State, sessionOf } from "./states.ts";
import { sendUpdate } from "./update-send.ts";

const NONCE_BYTES = 16;

/** An I2 that is right in every way, from another place than the association: whoever has it is asked first. */
export interface Challenge {
  readonly result: I2Accepted;
  readonly pending: Extract<Pending, { kind: "accept-i2" }>;
  /** Of the UPDATE that asks. */
  readonly updateId: number;
  readonly until: Instant;
}

/**
 * Asks the present holder of the association for a sign of life before another one takes it over. A host that began
 * anew where it was, or that is gone from where it was, does not answer. Undefined: there is nobody to ask.
 */
export function challenge(
  state: State,
  result: I2Accepted,
  pending: Extract<Pending, { kind: "accept-i2" }>,
  cx: Context,
): Step | undefined {
  const session = sessionOf(state);
  if (session === undefined || cx.config.mobility.challenge === 0) return undefined;
  if (sameEndpoint(session.path.remote, pending.received.path.remote)) return undefined;
  if (session.challenge !== undefined) return step(state, drop("challenge_pending"));
  const { mobility: config, timers } = cx.config;
  const asking = sendUpdate(
    state as Open,
    [ECHO_REQUEST_SIGNED.of({ data: cx.random.bytes(NONCE_BYTES) })],
    cx,
    {
      via: session.path,
      retransmit: sentOnce({ ...timers, retransmit: config.checkRetransmit }, cx.now, cx.random),
    },
  );
  if (asking.next === state) return undefined;
  const held: Challenge = {
    result,
    pending,
    updateId: session.updates.nextId,
    until: after(cx.now, config.challenge),
  };
  const next = { ...asking.next, session: { ...asking.next.session, challenge: held } };
  return step(next, asking.out);
}

/** The holder answered: two hosts have this identity. The first keeps the association, and both hear of it. */
export function holderAnswered(state: Open, ids: readonly number[], cx: Context): Step {
  const { session } = state;
  const { challenge: held } = session;
  if (held === undefined || !ids.includes(held.updateId)) return step(state);
  const stranger = held.pending.received.path;
  const next: Open = { ...state, session: { ...session, challenge: undefined } };
  return step(
    next,
    event(cx, "clone-detected", {
      kept: endpointText(session.path.remote),
      refused: endpointText(stranger.remote),
    }),
    drop("duplicate_identity"),
    tell(session.path, stranger, cx),
    tell(stranger, session.path, cx, held.result),
  );
}

/** NOTIFY with the place of the other one, under the keys of the one that it goes to. */
function tell(to: Path, other: Path, cx: Context, made?: I2Accepted): Step["out"] {
  const data = utf8(endpointText(other.remote));
  return cx.notify(
    NOTIFY.HIPD_DUPLICATE_IDENTITY,
    data,
    to,
    Number.POSITIVE_INFINITY,
    made === undefined ? undefined : made.agreement,
  );
}
