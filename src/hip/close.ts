/** CLOSE and CLOSE_ACK (RFC 7401 5.3.7, 5.3.8, 6.14, 6.15; Tables 5 to 8). */
import { constantTimeEqual } from "../core/bytes.ts";
import { after, type Path } from "../core/types.ts";
import { macOfPacketValid } from "../crypto/signature.ts";
import { get } from "../wire/packet.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import { ECHO_REQUEST_SIGNED, ECHO_RESPONSE_SIGNED } from "../wire/rfc7401.ts";
import { type Context, drop, event, type Received, type Sealed, type Step, send, step } from "./context.ts";
import { stateEvent } from "./initiator.ts";
import type { HostOutput } from "./io.ts";
import type { Agreement } from "./job.ts";
import { closeAckDraft, closeDraft, unsignedEchoes } from "./messages.ts";
import { sentAgain, sentOnce } from "./retransmit.ts";
import { dropOtherSas, dropSasOf } from "./session.ts";
import { agreementOf, type State, type StateOf, UNASSOCIATED } from "./states.ts";

const ECHO_BYTES = 16;
/** Signatures of one association that are checked at once. */
const MAX_VERIFYING = 4;
/** CLOSE is repeated for UAL + MSL (Table 7): its back-off may grow further than that of the base exchange. */
const MAX_CLOSE_INTERVAL = 60_000;

/** Nobody used it for UAL, somebody asked, or UPDATEs stay unanswered: send CLOSE and go to CLOSING. */
export function close(state: StateOf<"R2-SENT"> | StateOf<"ESTABLISHED">, cx: Context, reason: string): Step {
  const { session } = state;
  const echo = cx.random.bytes(ECHO_BYTES);
  const { timers } = cx.config;
  const lifetime = timers.unusedAssociationLifetime + timers.maximumSegmentLifetime;
  const next: StateOf<"CLOSING"> = {
    name: "CLOSING",
    session: { ...session, rekey: undefined, former: [] },
    echo,
    close: undefined,
    retransmit: sentOnce(timers, cx.now, cx.random),
    until: after(cx.now, lifetime),
  };
  const sealing = sealClose(cx, session.agreement, session.path, { what: "close", echo });
  // The inbound SA stays for what the peer sent before it reads our CLOSE.
  return step(
    next,
    { type: "route", peer: cx.peer, via: "demand" },
    { type: "sa-drop", spi: session.outbound, direction: "out", peer: cx.peer },
    dropOtherSas(cx, session),
    sealing,
    event(cx, "association-closed", { by: "us", reason }),
    stateEvent(cx, state, "CLOSING"),
  );
}

function sealClose(
  cx: Context,
  agreement: Agreement,
  path: Path,
  sealed: Extract<Sealed, { what: "close" | "close-ack" }>,
  unsigned: readonly DraftParameter[] = [],
): readonly HostOutput[] {
  const draft = sealed.what === "close" ? closeDraft : closeAckDraft;
  const started = cx.start(
    {
      kind: "seal",
      localHit: cx.local,
      draft: draft(cx.local, cx.peer, sealed.echo),
      rhash: agreement.rhash,
      macKey: agreement.macOut,
      unsigned,
    },
    { kind: "seal", sealed, path },
  );
  return started ? [] : [drop("jobs_full")];
}

/** Our CLOSE is signed. */
export function sealedClose(state: State, bytes: Uint8Array, echo: Uint8Array, path: Path): Step {
  if (state.name !== "CLOSING" || !constantTimeEqual(state.echo, echo)) return step(state, drop("overtaken"));
  return step({ ...state, close: bytes }, send(path, bytes));
}

/** Table 7, timeout. */
export function closingTimeout(state: StateOf<"CLOSING">, cx: Context): Step {
  if (cx.now >= state.until) return forgotten(state, cx);
  const retransmit = sentAgain(state.retransmit, MAX_CLOSE_INTERVAL, cx.now, cx.random);
  const next = { ...state, retransmit };
  if (state.close !== undefined) return step(next, send(state.session.path, state.close));
  // The job runner was full when CLOSE should have been signed.
  if (cx.busy("seal")) return step(next);
  const { agreement, path } = state.session;
  return step(next, sealClose(cx, agreement, path, { what: "close", echo: state.echo }));
}

/** CLOSED and CLOSING end here when their time is over (Tables 7, 8). */
export function forgotten(state: StateOf<"CLOSING"> | StateOf<"CLOSED">, cx: Context): Step {
  return step(UNASSOCIATED, dropSasOf(cx, state), stateEvent(cx, state, "UNASSOCIATED"));
}

/** HIP_MAC here, for one hash; the signature in a job (6.14). */
export function receiveClose<S extends State>(state: S, received: Received, cx: Context): Step {
  const agreement = agreementOf(state);
  const echo = get(received.packet, ECHO_REQUEST_SIGNED)?.data;
  if (agreement === undefined || echo === undefined) return step(state, drop("close_incomplete"));
  if (!macOfPacketValid(received.packet, agreement.rhash, agreement.macIn)) return step(state, drop("mac"));
  if (state.name === "CLOSED" && state.acknowledged !== undefined) {
    const { acknowledged } = state;
    if (constantTimeEqual(acknowledged.echo, echo)) {
      // Whoever sent the first on from elsewhere must not keep the peer from its answer, and not draw more than it sends.
      const small = acknowledged.ack.length <= received.packet.bytes.length;
      return step(state, send(small ? received.path : state.path, acknowledged.ack));
    }
  }
  return verify(state, received, agreement, cx);
}

/** 6.15: it must answer our CLOSE. */
export function receiveCloseAck(
  state: StateOf<"CLOSING"> | StateOf<"CLOSED">,
  received: Received,
  cx: Context,
): Step {
  const agreement = agreementOf(state);
  const echo = get(received.packet, ECHO_RESPONSE_SIGNED)?.data;
  if (agreement === undefined || echo === undefined || state.echo === undefined) {
    return step(state, drop("close_ack_unexpected"));
  }
  if (!macOfPacketValid(received.packet, agreement.rhash, agreement.macIn)) return step(state, drop("mac"));
  if (!constantTimeEqual(state.echo, echo)) return step(state, drop("close_ack_unexpected"));
  return verify(state, received, agreement, cx);
}

/** Checks the signature of a packet whose HIP_MAC is valid: answers to several address checks may come at once. */
export function verify(state: State, received: Received, agreement: Agreement, cx: Context): Step {
  if (cx.running("verify") >= MAX_VERIFYING) return step(state, drop("busy"));
  const { peer, hipCipher: cipher, encryptIn: key } = agreement;
  const started = cx.start(
    { kind: "verify", packet: received.packet.bytes, peer, decrypt: { cipher, key } },
    { kind: "verify", received },
  );
  return step(state, started ? [] : drop("jobs_full"));
}

/** The peer closes: answer, drop the SAs, go to (or stay in) CLOSED. */
export function verifiedClose(state: State, received: Received, cx: Context): Step {
  const agreement = agreementOf(state);
  const echo = get(received.packet, ECHO_REQUEST_SIGNED)?.data;
  if (agreement === undefined || echo === undefined) return step(state, drop("overtaken"));
  const { timers } = cx.config;
  const next: StateOf<"CLOSED"> = {
    name: "CLOSED",
    agreement,
    path: received.path,
    echo: state.name === "CLOSING" || state.name === "CLOSED" ? state.echo : undefined,
    acknowledged: undefined,
    until: after(cx.now, timers.unusedAssociationLifetime + 2 * timers.maximumSegmentLifetime),
    attempt: state.name === "CLOSED" ? state.attempt : undefined,
  };
  const sealing = sealClose(
    cx,
    agreement,
    received.path,
    { what: "close-ack", echo },
    unsignedEchoes(received.packet),
  );
  if (state.name === "CLOSED") return step(next, sealing);
  return step(
    next,
    { type: "route", peer: cx.peer, via: "demand" },
    dropSasOf(cx, state),
    sealing,
    event(cx, "association-closed", { by: "peer", reason: "close" }),
    stateEvent(cx, state, "CLOSED"),
  );
}

/** Our CLOSE_ACK is signed. */
export function sealedCloseAck(state: State, bytes: Uint8Array, echo: Uint8Array, path: Path): Step {
  if (state.name !== "CLOSED") return step(state, send(path, bytes));
  return step({ ...state, acknowledged: { echo, ack: bytes } }, send(path, bytes));
}

/** The peer has read our CLOSE: discard the state (Tables 7, 8). */
export function verifiedCloseAck(state: State, cx: Context): Step {
  if (state.name !== "CLOSING" && state.name !== "CLOSED") return step(state, drop("overtaken"));
  if (state.name === "CLOSED" && state.attempt !== undefined) {
    // The next incarnation is under way: it goes on without the old one.
    return step(
      { name: "I1-SENT", attempt: state.attempt },
      dropSasOf(cx, state),
      stateEvent(cx, state, "I1-SENT"),
    );
  }
  return forgotten(state, cx);
}
