/** The Responder: I1 and I2 (RFC 7401 6.7, 6.9; RFC 7402 6.5). */
import { equal } from "../core/bytes.ts";
import { after, type Spi } from "../core/types.ts";
import { suiteOfHit } from "../crypto/suites.ts";
import { NOTIFY } from "../wire/notification.ts";
import { natTraversalModes } from "./carrier.ts";
import { challenge } from "./clone.ts";
import {
  type Context,
  drop,
  event,
  type Pending,
  type Received,
  type Step,
  send,
  step,
  whyRefused,
} from "./context.ts";
import { stateEvent } from "./initiator.ts";
import type { I2Accepted, JobRefused } from "./job.ts";
import { announcedLocators } from "./locator-set.ts";
import { agreedSpis, dropSasOf, inboundSa, openSession } from "./session.ts";
import { type State, type StateOf, sessionOf } from "./states.ts";

/** R1 is sent statelessly whatever the state is; sending it never moves the state machine (6.7). */
export function receiveI1<S extends State>(state: S, received: Received, cx: Context): Step {
  return step(state, cx.answerI1(received));
}

/** Whoever calls in spite of the association that we asked for may begin anew: see `hasLostCrossing`. */
export function receiveI1Anew(state: StateOf<"ESTABLISHED">, received: Received, cx: Context): Step {
  const { session } = state;
  const called = session.called ? state : { ...state, session: { ...session, called: true as const } };
  return receiveI1(called, received, cx);
}

/** I1s of ours without an answer after which the peer's is answered, whoever has the greater HIT. */
const UNHEARD_I1S = 2;

/**
 * Table 3: of two hosts that call each other, the one with the greater HIT answers. An I1 that came again while ours came
 * to nothing is answered, too, and one from an address that we do not call: the peer is not where we look for it, but it
 * has found us.
 */
export function receiveCrossingI1(state: StateOf<"I1-SENT">, received: Received, cx: Context): Step {
  const { candidates, retransmit } = state.attempt;
  const unheard =
    retransmit.tries >= UNHEARD_I1S ||
    !candidates.some(({ remote }) => remote.address === received.path.remote.address);
  return localIsGreater(cx) || unheard
    ? step(state, cx.answerI1(received))
    : step(state, drop("i1_crossing"));
}

/** HITs compare as unsigned 128-bit integers (6.5); as hex digits of one length they compare the same way. */
export function localIsGreater(cx: Pick<Context, "local" | "peer">): boolean {
  return cx.local > cx.peer;
}

/**
 * 6.9 step 5: of two I2s that cross, the one of the greater HIT counts for nothing. It may be so late that the peer has
 * accepted ours, and we its R2, before: then it answers an R1 of before, as the peer has not called since.
 */
function hasLostCrossing(state: State, cx: Context): boolean {
  if (state.name === "I2-SENT") return !localIsGreater(cx);
  return state.name === "ESTABLISHED" && state.session.role === "initiator" && state.session.called !== true;
}

/** 6.9 steps 3, 4, 5 and 8; the rest is a job. */
export function receiveI2<S extends State>(state: S, received: Received, cx: Context): Step {
  const { packet, path } = received;
  const answered = sessionOf(state)?.answered;
  if (answered !== undefined && equal(answered.i2, packet.bytes)) return step(state, send(path, answered.r2));
  if (hasLostCrossing(state, cx)) return step(state, drop("i2_crossing"));
  // Step 3.
  if (!cx.config.hitSuites.includes(suiteOfHit(cx.peer))) return step(state, drop("hit_suite"));
  if (cx.busy("accept-i2")) return step(state, drop("busy"));
  const match = cx.matchI2(received);
  if ("drop" in match) return step(state, drop(match.drop), match.out);
  if (cx.policy === undefined && !cx.config.opportunistic) {
    return step(
      state,
      drop("policy"),
      cx.notify(NOTIFY.BLOCKED_BY_POLICY, new Uint8Array(0), path, packet.bytes.length),
    );
  }
  const inbound = cx.newInbound();
  const started = cx.start(
    {
      kind: "accept-i2",
      localHit: cx.local,
      i2: packet.bytes,
      dh: match.dh,
      hostId: match.hostId,
      hipCiphers: cx.config.hipCiphers,
      espSuites: cx.config.espSuites,
      natTraversalModes: natTraversalModes(path.carrier),
      spi: inbound.spi,
      lsiSpi: inbound.lsiSpi,
      path,
    },
    { kind: "accept-i2", received, inbound, startedAt: cx.now, match },
  );
  if (started) return step(state);
  // 5.2.19: RESPONDER_BUSY_PLEASE_RETRY; the Initiator needs another solution.
  return step(
    state,
    drop("jobs_full"),
    cx.notify(NOTIFY.RESPONDER_BUSY_PLEASE_RETRY, new Uint8Array(0), path, packet.bytes.length),
  );
}

/** Refusals of an I2 before a Diffie-Hellman computation; an I2 that is malformed beside (`malformed_...`) is one, too. */
const CHEAP: ReadonlySet<string> = new Set([
  "unknown_critical_parameter",
  "i2_incomplete",
  "cipher_not_offered",
  "dh_group_not_offered",
]);
/** Refusals of an I2 whose signature is right: the Initiator holds the key of its HIT. */
const SIGNED: ReadonlySet<string> = new Set([
  "esp_suite_not_offered",
  "transport_format",
  "esp_info",
  "keymat_index",
  "nat_traversal_mode",
]);

/** 6.9 steps 16 to 21. The state may have moved while the job ran, so that crossing is judged again. */
export function acceptedI2<S extends State>(
  state: S,
  result: I2Accepted | JobRefused,
  pending: Extract<Pending, { kind: "accept-i2" }>,
  cx: Context,
): Step {
  const { packet, path } = pending.received;
  if (result.kind === "refused") {
    spend(result.reason, pending, cx);
    const told = event(cx, "exchange-refused", {
      packet: "I2",
      reason: result.reason,
      detail: result.detail,
    });
    return step(state, drop(result.reason), told, whyRefused(result, path, cx, packet.bytes.length));
  }
  // Its keys exist now: the same solution must never give them a second time.
  if (!cx.usedI2(pending.match)) return step(state, drop("i2_replayed"));
  if (result.agreement.peerSpi === undefined) return step(state, drop("esp_info"));
  if (hasLostCrossing(state, cx)) return step(state, drop("i2_crossing"));
  if (!cx.admit(path)) return step(state, drop("policy"));
  return challenge(state, result, pending, cx) ?? takeOver(state, result, pending, cx);
}

/**
 * RFC 7401 4.1.1: a solution does not buy any number of Diffie-Hellman computations, whatever becomes of them. Where the
 * signature is not known to be right it may be a copy of an honest one, whose I2 must still count (6.9 step 16).
 */
function spend(reason: string, { match }: Extract<Pending, { kind: "accept-i2" }>, cx: Context): void {
  if (CHEAP.has(reason) || reason.startsWith("malformed_")) return;
  if (SIGNED.has(reason)) cx.usedI2(match);
  else cx.forgedI2(match);
}

/** The new association takes the place of whatever there was. */
export function takeOver(
  state: State,
  result: I2Accepted,
  pending: Extract<Pending, { kind: "accept-i2" }>,
  cx: Context,
): Step {
  const { packet, path } = pending.received;
  const outbound = result.agreement.peerSpi as Spi;
  cx.abandon("answer-r1");
  cx.abandon("accept-r2");
  const inbound = agreedSpis(pending.inbound, result.agreement);
  const { session, out } = openSession(cx, {
    agreement: result.agreement,
    outbound,
    inbound,
    path,
    role: "responder",
    startedAt: pending.startedAt,
    announced: announcedLocators(result.locators, path.carrier, cx.config.udpPort).list,
    answered: { i2: packet.bytes.slice(), r2: result.r2 },
  });
  const until = after(cx.now, cx.config.timers.exchangeComplete);
  return step(
    { name: "R2-SENT", session, until },
    dropSasOf(cx, state),
    inboundSa(cx, result.agreement, inbound, path),
    out,
    send(path, result.r2),
    stateEvent(cx, state, "R2-SENT"),
  );
}
