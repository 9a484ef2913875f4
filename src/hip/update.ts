/** UPDATE's frame: SEQ, ACK, retransmission (RFC 7401 6.11, 6.12), and what its parameters ask for. */
import { macOfPacketValid } from "../crypto/signature.ts";
import { get, type Packet } from "../wire/packet.ts";
import {
  ACK,
  DIFFIE_HELLMAN,
  ECHO_REQUEST_SIGNED,
  ECHO_RESPONSE_SIGNED,
  HIP_MAC,
  HIP_SIGNATURE,
  SEQ,
} from "../wire/rfc7401.ts";
import { ESP_INFO } from "../wire/rfc7402.ts";
import { close, verify } from "./close.ts";
import { type Context, drop, type Received, type Step, send, step } from "./context.ts";
import { stateEvent } from "./initiator.ts";
import type { HostOutput } from "./io.ts";
import { signedEcho, unsignedEchoes } from "./messages.ts";
import { offerIn, switchOver, takeOffer } from "./rekey.ts";
import { sentAgain } from "./retransmit.ts";
import type { Open, Session, State, StateOf } from "./states.ts";
import { answerUpdate, sealUpdate, sendUpdate, withUpdates } from "./update-send.ts";
import { reception, recorded, withoutAcknowledged } from "./update-state.ts";

/** An older UPDATE that is repeated costs two signatures: one at a time, and not more often than this. */
const REPEATED_MILLIS = 1_000;
const PROBE_BYTES = 8;

/** An UPDATE that asks for a sign of life: SEQ wants an ACK, ECHO_REQUEST_SIGNED wants the same bytes back. */
export function probe(state: Open, cx: Context): Step {
  // One that is under way already asks the same question.
  if (state.session.updates.outstanding.length > 0) return step(state);
  const sent = sendUpdate(state, [ECHO_REQUEST_SIGNED.of({ data: cx.random.bytes(PROBE_BYTES) })], cx);
  return step(sent.next, sent.out);
}

/** The earliest retransmission of an UPDATE. */
export function updateDue(session: Session): number | undefined {
  let due: number | undefined;
  for (const { retransmit } of session.updates.outstanding) {
    if (due === undefined || retransmit.due < due) due = retransmit.due;
  }
  return due;
}

/** 6.11 step 4: again with back-off; after UPDATE_RETRY_MAX the association is broken and closes. */
export function updateTimeout(state: Open, cx: Context): Step {
  const { updates, path } = state.session;
  if (
    updates.outstanding.some(
      (one) => one.retransmit.due <= cx.now && one.retransmit.tries >= cx.config.retries.update,
    )
  ) {
    return close(state, cx, "no_answer_to_update");
  }
  const out: HostOutput[] = [];
  const outstanding = updates.outstanding.map((one) => {
    if (one.retransmit.due > cx.now) return one;
    if (one.bytes !== undefined) out.push(send(path, one.bytes));
    else if (!cx.busy("seal")) {
      out.push(
        ...sealUpdate(
          state.session,
          [SEQ.of({ updateId: one.id }), ...one.parameters],
          { id: one.id, answers: undefined },
          path,
          cx,
        ),
      );
    }
    return {
      ...one,
      retransmit: sentAgain(one.retransmit, cx.config.timers.retransmitMax, cx.now, cx.random),
    };
  });
  return step(withUpdates(state, { ...updates, outstanding }), out);
}

/** 6.12: window and HIP_MAC here, for one hash; the signature in a job. */
export function receiveUpdate(state: Open, received: Received, cx: Context): Step {
  const { packet } = received;
  const { agreement, updates } = state.session;
  const seq = get(packet, SEQ);
  const ack = get(packet, ACK);
  if (seq === undefined && ack === undefined) return step(state, drop("update_without_seq_or_ack"));
  const how = seq === undefined ? undefined : reception(updates, seq.updateId);
  if (how === "outside") return step(state, drop("update_window"));
  const acknowledges = ack !== undefined && withoutAcknowledged(updates, ack.ids).acknowledged.length > 0;
  if (seq === undefined && !acknowledges) return step(state, drop("ack_unexpected"));
  if (!macOfPacketValid(packet, agreement.rhash, agreement.macIn)) return step(state, drop("mac"));
  if (how === "repeated" && !acknowledges) {
    const { lastAnswer } = updates;
    // 6.12.1 step 2: acknowledge again, from the cache where it is the last one. Anybody may have recorded the packet:
    // the answer goes to where the peer is, not to where this copy came from.
    if (lastAnswer !== undefined && lastAnswer.id === seq?.updateId)
      return step(state, send(state.session.path, lastAnswer.bytes));
    if (cx.now - updates.repeatedAt < REPEATED_MILLIS) return step(state, drop("update_repeated"));
    return verify(withUpdates(state, { ...updates, repeatedAt: cx.now }), received, agreement, cx);
  }
  return verify(state, received, agreement, cx);
}

/** The signature is valid: take the ACKs, then the SEQ and what comes with it. */
export function verifiedUpdate(state: State, received: Received, cx: Context): Step {
  if (state.name !== "R2-SENT" && state.name !== "ESTABLISHED") return step(state, drop("overtaken"));
  const { packet } = received;
  const { updates: afterAcks, acknowledged } = withoutAcknowledged(
    state.session.updates,
    get(packet, ACK)?.ids ?? [],
  );
  const heard = takeAcks(withUpdates(state, afterAcks), acknowledged, cx);
  const seq = get(packet, SEQ);
  if (seq === undefined) return then(heard, (next) => established(next, cx));
  const how = reception(afterAcks, seq.updateId);
  if (how === "outside") return step(heard.next, heard.out, drop("update_window"));
  return then(heard, (next) =>
    then(established(next, cx), (open) => takeContents(open, received, seq.updateId, how === "new", cx)),
  );
}

/** Critical parameters that UPDATE may carry and that are understood here. */
const HANDLED: ReadonlySet<number> = new Set(
  [ESP_INFO, SEQ, ACK, DIFFIE_HELLMAN, ECHO_REQUEST_SIGNED, ECHO_RESPONSE_SIGNED, HIP_MAC, HIP_SIGNATURE].map(
    ({ type }) => type,
  ),
);

/**
 * A critical parameter that is known by name only: to acknowledge it would tell the peer that we acted upon it. Those
 * behind the signature are not the peer's word.
 */
export function unhandled(packet: Packet): number | undefined {
  return packet.parameters.find(
    ({ type }) => (type & 1) === 1 && type < HIP_SIGNATURE.type && !HANDLED.has(type),
  )?.type;
}

/** An ACK of our half of a rekeying lets the new keys into use. */
function takeAcks(state: Open, acknowledged: readonly { readonly id: number }[], cx: Context): Step {
  const { rekey } = state.session;
  if (rekey === undefined || !acknowledged.some(({ id }) => id === rekey.updateId)) return step(state);
  const next = { ...state, session: { ...state.session, rekey: { ...rekey, acknowledged: true } } };
  return switchOver(next, cx);
}

/**
 * What came with the SEQ. The Update ID is recorded when the UPDATE was taken, so that one that had to be dropped may be
 * sent again; a repeated one is acknowledged and not processed again (6.12.1 step 2).
 */
function takeContents(
  state: Open,
  { packet, path }: Received,
  id: number,
  isNew: boolean,
  cx: Context,
): Step {
  const { rekey, updates } = state.session;
  if (!isNew && rekey?.theirs?.updateId === id) return step(state, drop("update_repeated"));
  const taken = isNew ? withUpdates(state, recorded(updates, id)) : state;
  const offer = isNew ? offerIn(state, packet) : "none";
  if (offer !== "none") {
    if ("drop" in offer) return step(state, drop(offer.drop));
    const begun = takeOffer(taken, offer, path, cx);
    return begun.next === taken ? step(state, begun.out) : begun;
  }
  const to = isNew ? path : state.session.path;
  return step(taken, answerUpdate(taken, id, signedEcho(packet), to, cx, unsignedEchoes(packet)));
}

/** Goes on with the next step where the association is still open. */
function then(before: Step, go: (state: Open) => Step): Step {
  if (before.next.name !== "R2-SENT" && before.next.name !== "ESTABLISHED") return before;
  const after = go(before.next);
  return step(after.next, before.out, after.out);
}

/** Data or an UPDATE in R2-SENT shows that the peer is ESTABLISHED (Table 5). */
export function established(state: Open, cx: Context): Step {
  if (state.name === "ESTABLISHED") return step(state);
  // The peer has the R2: its I2 will not come again.
  const session = { ...state.session, answered: undefined };
  return step({ name: "ESTABLISHED", session }, stateEvent(cx, state, "ESTABLISHED"));
}

/** Table 6: not a packet either way for UAL. */
export function idle(state: Open, cx: Context): Step {
  return close(state, cx, "unused");
}

/** Table 5, Exchange Complete. */
export function exchangeComplete(state: StateOf<"R2-SENT">, cx: Context): Step {
  return established(state, cx);
}
