/** UPDATE's frame: SEQ, ACK, retransmission (RFC 7401 5.3.5, 6.11, 6.12). What an UPDATE carries is others' business. */
import { macOfPacketValid } from "../crypto/signature.ts";
import { NOTIFY } from "../wire/notification.ts";
import { get } from "../wire/packet.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import { ACK, ECHO_REQUEST_SIGNED, ECHO_RESPONSE_SIGNED, SEQ } from "../wire/rfc7401.ts";
import { close, verify } from "./close.ts";
import { type Context, drop, type Received, type Step, send, step } from "./context.ts";
import { stateEvent } from "./initiator.ts";
import type { HostOutput } from "./io.ts";
import { u16Bytes } from "./job-common.ts";
import { sentAgain, sentOnce } from "./retransmit.ts";
import type { Session, State, StateOf } from "./states.ts";
import { MAX_OUTSTANDING, reception, recorded, type Updates, withoutAcknowledged } from "./update-state.ts";

type Open = StateOf<"R2-SENT"> | StateOf<"ESTABLISHED">;

const PROBE_BYTES = 8;

/** An UPDATE that asks for a sign of life: SEQ wants an ACK, ECHO_REQUEST_SIGNED wants the same bytes back. */
export function probe(state: Open, cx: Context): Step {
  // One that is under way already asks the same question.
  if (state.session.updates.outstanding.length > 0) return step(state);
  return sendUpdate(state, [ECHO_REQUEST_SIGNED.of({ data: cx.random.bytes(PROBE_BYTES) })], cx);
}

/** Sends an UPDATE that must be acknowledged (6.11 steps 1 to 3). The caller's state gets the new Update ID. */
export function sendUpdate(state: Open, parameters: readonly DraftParameter[], cx: Context): Step {
  const { updates } = state.session;
  if (updates.outstanding.length >= MAX_OUTSTANDING) return step(state, drop("updates_outstanding"));
  const id = updates.nextId;
  const outstanding = {
    id,
    parameters,
    bytes: undefined,
    retransmit: sentOnce(cx.config.timers, cx.now, cx.random),
  };
  const next: Updates = {
    ...updates,
    nextId: (id + 1) >>> 0,
    outstanding: [...updates.outstanding, outstanding],
  };
  const sealing = seal(
    state.session,
    [SEQ.of({ updateId: id }), ...parameters],
    { id, answers: undefined },
    cx,
  );
  return step(withUpdates(state, next), sealing);
}

function seal(
  session: Session,
  parameters: readonly DraftParameter[],
  what: { readonly id: number | undefined; readonly answers: number | undefined },
  cx: Context,
): readonly HostOutput[] {
  const started = cx.start(
    {
      kind: "seal",
      localHit: cx.local,
      draft: { name: "UPDATE", sender: cx.local, receiver: cx.peer, parameters },
      rhash: session.agreement.rhash,
      macKey: session.agreement.macOut,
    },
    { kind: "seal", sealed: { what: "update", ...what }, path: session.path },
  );
  return started ? [] : [drop("jobs_full")];
}

/** Our UPDATE is signed: remember it for retransmission, or as the answer to a repeated one. */
export function sealedUpdate(
  state: State,
  bytes: Uint8Array,
  sealed: { readonly id: number | undefined; readonly answers: number | undefined },
): Step {
  if (state.name !== "R2-SENT" && state.name !== "ESTABLISHED") return step(state, drop("overtaken"));
  const { updates, path } = state.session;
  const outstanding = updates.outstanding.map((one) => (one.id === sealed.id ? { ...one, bytes } : one));
  const lastAnswer = sealed.answers === undefined ? updates.lastAnswer : { id: sealed.answers, bytes };
  return step(withUpdates(state, { ...updates, outstanding, lastAnswer }), send(path, bytes));
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
        ...seal(
          state.session,
          [SEQ.of({ updateId: one.id }), ...one.parameters],
          { id: one.id, answers: undefined },
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
  const { packet, path } = received;
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
    // 6.12.1 step 2: acknowledge again, from the cache where it is the last one.
    if (lastAnswer !== undefined && lastAnswer.id === seq?.updateId)
      return step(state, send(path, lastAnswer.bytes));
    if (cx.busy("seal")) return step(state, drop("update_repeated"));
  }
  return verify(state, received, agreement, cx);
}

/** The signature is valid: take the ACKs, then the SEQ and what comes with it. */
export function verifiedUpdate(state: State, received: Received, cx: Context): Step {
  if (state.name !== "R2-SENT" && state.name !== "ESTABLISHED") return step(state, drop("overtaken"));
  const { packet, path } = received;
  const unknown = packet.unknownCritical[0];
  if (unknown !== undefined) {
    const type = NOTIFY.UNSUPPORTED_CRITICAL_PARAMETER_TYPE;
    return step(
      state,
      drop("unknown_critical_parameter"),
      cx.notify(type, u16Bytes(unknown), path, packet.bytes.length),
    );
  }
  const { updates: afterAcks } = withoutAcknowledged(state.session.updates, get(packet, ACK)?.ids ?? []);
  const seq = get(packet, SEQ);
  if (seq === undefined) return established(withUpdates(state, afterAcks), cx);
  const how = reception(afterAcks, seq.updateId);
  if (how === "outside") return step(state, drop("update_window"));
  const echo = get(packet, ECHO_REQUEST_SIGNED);
  const answer = [
    ACK.of({ ids: [seq.updateId] }),
    ...(echo === undefined ? [] : [ECHO_RESPONSE_SIGNED.of(echo)]),
  ];
  const next = withUpdates(state, how === "new" ? recorded(afterAcks, seq.updateId) : afterAcks);
  const sealing = seal({ ...next.session, path }, answer, { id: undefined, answers: seq.updateId }, cx);
  const moved = established(next, cx);
  return step(moved.next, sealing, moved.out);
}

/** Data or an UPDATE in R2-SENT shows that the peer is ESTABLISHED (Table 5). */
export function established(state: Open, cx: Context): Step {
  if (state.name === "ESTABLISHED") return step(state);
  return step({ name: "ESTABLISHED", session: state.session }, stateEvent(cx, state, "ESTABLISHED"));
}

/** Table 6: not a packet either way for UAL. */
export function idle(state: Open, cx: Context): Step {
  return close(state, cx, "unused");
}

/** Table 5, Exchange Complete. */
export function exchangeComplete(state: StateOf<"R2-SENT">, cx: Context): Step {
  return established(state, cx);
}

function withUpdates<S extends Open>(state: S, updates: Updates): S {
  return { ...state, session: { ...state.session, updates } };
}
