/** UPDATE's frame: SEQ, ACK, retransmission (RFC 7401 6.11, 6.12), and what its parameters ask for. */

import { equal } from "../core/bytes.ts";
import { after, type Path, samePath } from "../core/types.ts";
import { macOfPacketValid } from "../crypto/signature.ts";
import { get, type HasParameters, type Packet } from "../wire/packet.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import {
  ACK,
  DIFFIE_HELLMAN,
  ECHO_REQUEST_SIGNED,
  ECHO_RESPONSE_SIGNED,
  ENCRYPTED,
  HIP_MAC,
  HIP_SIGNATURE,
  HOST_ID,
  SEQ,
} from "../wire/rfc7401.ts";
import { ESP_INFO } from "../wire/rfc7402.ts";
import { LOCATOR_SET } from "../wire/rfc8046.ts";
import { isAway, takeAway } from "./away.ts";
import { type Stay, startCheck, stay, takeEcho, withMobility } from "./checks.ts";
import { holderAnswered } from "./clone.ts";
import { close, verify } from "./close.ts";
import { type Context, drop, event, type Received, type Step, send, step } from "./context.ts";
import { stateEvent } from "./initiator.ts";
import type { HostOutput } from "./io.ts";
import { keepaliveLater } from "./keepalive.ts";
import { mappedAddress, mappedIn, signedEcho, unsignedEchoes } from "./messages.ts";
import { answered, pathDown, reconcile, sourceSeen, unanswered } from "./mobility.ts";
import { locatorAt } from "./mobility-state.ts";
import { candidates } from "./path-choice.ts";
import { saDeprecated, takeLocatorSet } from "./peer-locators.ts";
import { acknowledgedAlone, askedAnew, isOver } from "./questions.ts";
import { offerIn, switchOver, takeOffer } from "./rekey.ts";
import { sentAgain, sentOnce } from "./retransmit.ts";
import type { Open, Session, State, StateOf } from "./states.ts";
import { answerUpdate, sealUpdate, sendUpdate, withUpdates } from "./update-send.ts";
import {
  type Outstanding,
  outstandingAt,
  paid,
  reception,
  recorded,
  type Updates,
  withoutAcknowledged,
  withRefused,
} from "./update-state.ts";

/** The last answer is sent again this often: no host repeats itself sooner, be it in a hurry. */
const ANSWER_AGAIN_MILLIS = 100;
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
  return then(giveUp(state, cx), (open) => repeatDue(askedAnew(open, cx), cx));
}

function repeatDue(state: Open, cx: Context): Step {
  const { updates, path, mobility } = state.session;
  const out: HostOutput[] = [];
  const { mobility: pace, timers } = cx.config;
  const outstanding = updates.outstanding.map((one) => {
    if (one.retransmit.due > cx.now) return one;
    const via = one.via ?? path;
    if (one.bytes !== undefined) out.push(send(via, one.bytes));
    else if (!cx.busy("seal")) {
      const parameters = [SEQ.of({ updateId: one.id }), ...one.parameters];
      const what = { id: one.id, answers: undefined };
      const { secret, unsigned } = one;
      out.push(...sealUpdate(state.session, parameters, what, via, cx, { secret, unsigned }));
    }
    const urgent = mobility.checks.some(({ updateId, use }) => updateId === one.id && use !== undefined);
    const most = urgent ? pace.checkRetransmitMax : timers.retransmitMax;
    return { ...one, retransmit: sentAgain(one.retransmit, most, cx.now, cx.random) };
  });
  return step(withUpdates(state, { ...updates, outstanding }), out);
}

/** 6.11 step 4: UPDATEs that were repeated often enough. Where there are other paths, they are tried first. */
function giveUp(state: Open, cx: Context): Step {
  const { updates, mobility } = state.session;
  const due = updates.outstanding.filter(({ retransmit }) => retransmit.due <= cx.now);
  let now: Open = state;
  const out: HostOutput[] = [];
  for (const one of due) {
    // What became of an earlier one may have ended this one, or asked it anew under another Update ID.
    if (outstandingAt(now.session.updates, one.id) === undefined) continue;
    const check = now.session.mobility.checks.find(({ updateId }) => updateId === one.id);
    if (check !== undefined) {
      if (!isOver(now.session, check, one.retransmit.tries, cx)) continue;
      const next = unanswered(now, check, cx);
      if (next === undefined) {
        const reason = mobility.moving?.reason ?? "path-dead";
        out.push(event(cx, "handover-failed", { reason, detail: "no path answers" }));
        return joined(out, close(now, cx, "unreachable"));
      }
      now = next.next;
      out.push(...next.out);
      continue;
    }
    if (one.retransmit.tries < cx.config.retries.update || isAway(now.session, cx)) continue;
    const others = candidates(now.session, cx, true).some((path) => !samePath(path, now.session.path));
    if (!others || mobility.lostSince !== undefined) {
      return joined(out, close(now, cx, "no_answer_to_update"));
    }
    // An offer of keys that the peer may have taken must not be forgotten: it goes along the next path.
    const offered = now.session.rekey?.updateId === one.id;
    const left = offered ? anew(now, one, cx) : withoutAcknowledged(now.session.updates, [one.id]).updates;
    const down = pathDown(withUpdates(now, left), now.session.path, cx);
    now = down.next;
    out.push(...down.out);
  }
  return step(now, out);
}

/** As if the UPDATE had never been sent. */
function anew(state: Open, { id }: Outstanding, cx: Context): Updates {
  const { updates } = state.session;
  const retransmit = { ...sentOnce(cx.config.timers, cx.now, cx.random), tries: 0, due: cx.now };
  const outstanding = updates.outstanding.map((one) => (one.id === id ? { ...one, retransmit } : one));
  return { ...updates, outstanding };
}

function joined(before: readonly HostOutput[], after: Step): Step {
  return step(after.next, before, after.out);
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
  const known = how === "repeated" || (seq !== undefined && seq.updateId === updates.refused?.id);
  return seq !== undefined && known && !acknowledges
    ? receivedAgain(state, received, seq.updateId, cx)
    : verify(state, received, agreement, cx);
}

/**
 * A copy of an UPDATE that was taken (6.12.1 step 2) or dropped. Anybody may have recorded it: so few are worked on that
 * copies cost little, and so many that the peer has its answer at once when it repeats itself.
 */
function receivedAgain(state: Open, received: Received, id: number, cx: Context): Step {
  const { agreement, updates, path } = state.session;
  const { lastAnswer, refused } = updates;
  if (lastAnswer?.id === id) {
    // Whoever sent this copy, the answer goes to where the peer is: one that is left out was sent a moment ago.
    if (cx.now < lastAnswer.againAt) return step(state, drop("update_repeated"));
    const again = { ...lastAnswer, againAt: after(cx.now, ANSWER_AGAIN_MILLIS) };
    return step(withUpdates(state, { ...updates, lastAnswer: again }), send(path, lastAnswer.bytes));
  }
  const paidUntil = paid(refused?.id === id ? refused.paidUntil : updates.paidUntil, cx.now);
  if (paidUntil === undefined) return step(state, drop("update_repeated"));
  const owing = refused?.id === id ? { refused: { id, paidUntil } } : { paidUntil };
  return verify(withUpdates(state, { ...updates, ...owing }), received, agreement, cx);
}

/** What comes of an UPDATE whose signature is valid: one that was dropped is noted, as it would cost the same each time. */
export function notingRefused(came: Step, packet: Packet): Step {
  const { next, out } = came;
  const seq = packet.name === "UPDATE" ? get(packet, SEQ) : undefined;
  if (seq === undefined || (next.name !== "R2-SENT" && next.name !== "ESTABLISHED")) return came;
  const { updates } = next.session;
  if (reception(updates, seq.updateId) !== "new") return came;
  return step(withUpdates(next, withRefused(updates, seq.updateId)), out);
}

/** The signature is valid: take the ACKs, then the SEQ and what comes with it. */
export function verifiedUpdate(
  state: State,
  received: Received,
  inside: readonly DraftParameter[],
  cx: Context,
): Step {
  if (state.name !== "R2-SENT" && state.name !== "ESTABLISHED") return step(state, drop("overtaken"));
  const { packet } = received;
  const contents: HasParameters = { parameters: [...packet.parameters, ...inside] };
  if (!isFromPeer(contents, state.session)) return step(state, drop("host_id_mismatch"));
  const { updates: afterAcks, acknowledged } = withoutAcknowledged(
    state.session.updates,
    get(packet, ACK)?.ids ?? [],
  );
  const ids = acknowledged.map(({ id }) => id);
  const echo = get(contents, ECHO_RESPONSE_SIGNED)?.data;
  const asking = acknowledgedAlone(withUpdates(state, afterAcks), acknowledged, echo);
  const acks = takeAcks(asking, acknowledged, cx);
  const held = then(acks, (next) => holderAnswered(next, ids, cx));
  const heard = then(held, (next) => takeAnswer(next, contents, received, cx));
  const seq = get(packet, SEQ);
  if (seq === undefined) return then(heard, (next) => established(next, cx));
  const how = reception(afterAcks, seq.updateId);
  if (how === "outside") return step(heard.next, heard.out, drop("update_window"));
  return then(heard, (next) =>
    then(established(next, cx), (open) =>
      takeContents(open, contents, received, seq.updateId, how === "new", cx),
    ),
  );
}

/** RFC 8046 4.3: a HOST_ID is there for firewalls on the way, and must be that of the association. */
function isFromPeer(contents: HasParameters, { agreement }: Session): boolean {
  const host = get(contents, HOST_ID);
  if (host === undefined) return true;
  const { algorithm, hostIdentity } = agreement.peer;
  return host.algorithm === algorithm && equal(host.hostIdentity, hostIdentity);
}

/** Critical parameters that UPDATE may carry and that are understood here. */
const HANDLED: ReadonlySet<number> = new Set(
  [
    ESP_INFO,
    LOCATOR_SET,
    SEQ,
    ACK,
    DIFFIE_HELLMAN,
    ENCRYPTED,
    HOST_ID,
    ECHO_REQUEST_SIGNED,
    ECHO_RESPONSE_SIGNED,
    HIP_MAC,
    HIP_SIGNATURE,
  ].map(({ type }) => type),
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
  contents: HasParameters,
  received: Received,
  id: number,
  isNew: boolean,
  cx: Context,
): Step {
  const { packet, path } = received;
  const { rekey, updates } = state.session;
  // The answer waits for the keys; once they are drawn it is given again (RFC 7401 6.12.1 step 2).
  const drawing = rekey?.theirs?.updateId === id && rekey.keyed === undefined;
  if (!isNew && drawing) return step(state, drop("update_repeated"));
  const offer = isNew ? offerIn(state, packet) : "none";
  if (typeof offer === "object" && "drop" in offer) return step(state, drop(offer.drop));
  if (!isNew) {
    const to = state.session.path;
    return step(state, answerUpdate(state, id, answerTo(packet, to), to, cx, unsignedEchoes(packet)));
  }
  // RFC 8046 5.3: ESP_INFO first, which was looked at above; its keys are drawn in a job.
  const away = takeAway(withUpdates(state, recorded(updates, id)), contents, id, cx);
  const bound = offer === "deprecated" ? saDeprecated(away.next, id, cx) : away.next;
  const located = takeLocatorSet(bound, contents, received, id, cx);
  const placed = stay(located.next, away.out, located.out);
  if (typeof offer === "string") return settle(replyTo(placed.next, received, id, cx), placed.out, path, cx);
  // The answer waits for the keys; a question to a new address does not (RFC 8046 3.2.2).
  const begun = takeOffer(placed.next, offer, path, cx);
  if (begun.next === placed.next) return step(state, begun.out);
  return then(begun, (next) => settle(stay(next), placed.out, path, cx));
}

/** Looks at what is known of the peer after its UPDATE. `before`: what happens first. */
function settle(told: Stay, before: readonly HostOutput[], path: Path, cx: Context): Step {
  const unknown = locatorAt(told.next.session.mobility, path.remote) === undefined;
  const seen = unknown ? sourceSeen(told.next, path, cx) : stay(told.next);
  const settled = reconcile(seen.next, cx);
  return step(settled.next, before, told.out, seen.out, settled.out);
}

/** The ACK; to an address of which it is not known whether the peer is there, with a question that tells (RFC 8046 5.4). */
function replyTo(state: Open, { packet, path }: Received, id: number, cx: Context): Stay {
  const { mobility } = state.session;
  const unsigned = unsignedEchoes(packet);
  const parameters = answerTo(packet, path);
  if (locatorAt(mobility, path.remote)?.status === "UNVERIFIED") {
    const use = samePath(path, state.session.path) ? mobility.moving?.reason : undefined;
    const answers = { id, parameters: [ACK.of({ ids: [id] }), ...parameters], unsigned };
    const asked = startCheck(state, path, use, cx, answers);
    if (asked !== undefined && asked.next !== state) return asked;
  }
  return { next: state, out: answerUpdate(state, id, parameters, path, cx, unsigned) };
}

/** What an answer carries besides the ACK: the echo, and from where the UPDATE came (RFC 9028 5.12). */
function answerTo(packet: Packet, path: Path): readonly DraftParameter[] {
  return [...signedEcho(packet), ...mappedAddress(path)];
}

/** An echo that was asked for, and what the peer says about our address. */
function takeAnswer(state: Open, contents: HasParameters, received: Received, cx: Context): Step {
  const mapped = mappedIn(contents);
  const { path } = state.session;
  const wasVerified = locatorAt(state.session.mobility, path.remote)?.status === "ACTIVE";
  const taken = takeEcho(state, get(contents, ECHO_RESPONSE_SIGNED)?.data, cx);
  if (taken === undefined) return step(state);
  const { check } = taken;
  // What it says is about the path of the question.
  const ours = samePath(check.path, path) || check.use !== undefined ? mapped : undefined;
  const known =
    ours === undefined
      ? taken.state
      : withMobility(taken.state, { mapped: { local: check.path.local, seen: ours } });
  const settled = answered(known, check, wasVerified, cx);
  const done = reconcile(keepaliveLater(settled.next, cx), cx);
  const { local } = check.path;
  const seen: readonly HostOutput[] =
    mapped === undefined || received.path.carrier !== "udp"
      ? []
      : [{ type: "seen-as", peer: cx.peer, local, mapped }];
  return step(done.next, taken.out, settled.out, done.out, seen);
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
  const next = reconcile({ name: "ESTABLISHED", session }, cx);
  return step(next.next, stateEvent(cx, state, "ESTABLISHED"), next.out);
}

/** Table 6: not a packet either way for UAL. */
export function idle(state: Open, cx: Context): Step {
  return close(state, cx, "unused");
}

/** Table 5, Exchange Complete. */
export function exchangeComplete(state: StateOf<"R2-SENT">, cx: Context): Step {
  return established(state, cx);
}
