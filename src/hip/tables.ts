/** The state machine of RFC 7401 4.4.3 as tables: what each state does with each packet, event and timeout. */
import { type Deadline, earliest, type Instant, type Spi } from "../core/types.ts";
import { NOTIFY } from "../wire/notification.ts";
import type { PacketName } from "../wire/packet.ts";
import { stay } from "./checks.ts";
import {
  close,
  closingTimeout,
  forgotten,
  receiveClose,
  receiveCloseAck,
  sealedClose,
  sealedCloseAck,
  verifiedClose,
  verifiedCloseAck,
} from "./close.ts";
import type { HostConfig } from "./config.ts";
import { type Context, drop, event, type Pending, type Received, type Step, send, step } from "./context.ts";
import {
  acceptedR2,
  answeredR1,
  begin,
  connect,
  failed,
  i1Again,
  i2Timeout,
  receiveR1,
  receiveR2,
  stateEvent,
} from "./initiator.ts";
import type { JobResult } from "./job.ts";
import { u16Bytes } from "./job-common.ts";
import { keepaliveLater, keepaliveTimeout } from "./keepalive.ts";
import { isStranded, reconcile } from "./mobility.ts";
import { receiveNotify } from "./notify.ts";
import { keyTimeout, madeDh, rekeyAge, rekeyed, startRekey, switchOver } from "./rekey.ts";
import { acceptedI2, receiveCrossingI1, receiveI1, receiveI1Anew, receiveI2, takeOver } from "./responder.ts";
import { dropSasOf } from "./session.ts";
import { type Open, type State, type StateOf, UNASSOCIATED } from "./states.ts";
import {
  established,
  exchangeComplete,
  idle,
  notingRefused,
  probe,
  receiveUpdate,
  unhandled,
  updateDue,
  updateTimeout,
  verifiedUpdate,
} from "./update.ts";
import { sealedUpdate } from "./update-send.ts";

type StateName = State["name"];
type Handler<S extends StateName> = (state: StateOf<S>, received: Received, cx: Context) => Step;

/**
 * Tables 2 to 9, packets. An absent cell is a counted drop. Where this differs from the letter of the tables:
 * R1 in CLOSING is dropped (6.8 steps 1 and 2 ask for an I1 of ours, and going to I1-SENT leaves CLOSING); E-FAILED
 * answers I1 and I2, because the peer may have become reachable before we try again; an UPDATE in UNASSOCIATED hints at
 * an association that we lost.
 */
export const RECEIVE: { readonly [S in StateName]: Readonly<Partial<Record<PacketName, Handler<S>>>> } = {
  UNASSOCIATED: { I1: receiveI1, I2: receiveI2, UPDATE: receiveStray, NOTIFY: receiveNotify },
  "I1-SENT": { I1: receiveCrossingI1, R1: receiveR1, I2: receiveI2, NOTIFY: receiveNotify },
  "I2-SENT": {
    I1: receiveI1,
    R1: receiveR1,
    I2: receiveI2,
    R2: receiveR2,
    CLOSE: receiveClose,
    NOTIFY: receiveNotify,
  },
  "R2-SENT": {
    I1: receiveI1,
    I2: receiveI2,
    UPDATE: receiveUpdate,
    CLOSE: receiveClose,
    NOTIFY: receiveNotify,
  },
  ESTABLISHED: {
    I1: receiveI1Anew,
    I2: receiveI2,
    UPDATE: receiveUpdate,
    CLOSE: receiveClose,
    NOTIFY: receiveNotify,
  },
  CLOSING: {
    I1: receiveI1,
    I2: receiveI2,
    CLOSE: receiveClose,
    CLOSE_ACK: receiveCloseAck,
    NOTIFY: receiveNotify,
  },
  CLOSED: {
    I1: receiveI1,
    I2: receiveI2,
    R1: receiveR1,
    CLOSE: receiveClose,
    CLOSE_ACK: receiveCloseAck,
    NOTIFY: receiveNotify,
  },
  "E-FAILED": { I1: receiveI1, I2: receiveI2, NOTIFY: receiveNotify },
};

/** HIP_MAC and HIP_SIGNATURE make every real UPDATE longer than this: what is called for it is never more than it was. */
const STRAY_BYTES = 160;

/**
 * A configured peer goes on in an association that we lost, by a restart: we call it where it should be. Nothing in the
 * packet can be checked, so that hints are few, and answered to no address that they name.
 */
function receiveStray(state: StateOf<"UNASSOCIATED">, { packet }: Received, cx: Context): Step {
  const follow = cx.policy !== undefined && packet.bytes.length >= STRAY_BYTES && cx.mayFollowHint();
  return follow ? connect(state, cx, []) : step(state, drop("update_unexpected"));
}

export function receive(state: State, received: Received, cx: Context): Step {
  const cells: Readonly<
    Partial<Record<PacketName, (state: never, received: Received, cx: Context) => Step>>
  > = RECEIVE[state.name];
  const handler = cells[received.packet.name];
  // The table is typed by state: the cell of `state.name` takes exactly this state.
  return handler === undefined
    ? step(state, drop(`${received.packet.name.toLowerCase() as Lowercase<PacketName>}_unexpected`))
    : handler(state as never, received, cx);
}

/** "User data to send" (Tables 2, 7, 8). In other states an exchange or an association is there already. */
export const CONNECT: { readonly [S in StateName]?: (state: StateOf<S>, cx: Context) => Step } = {
  UNASSOCIATED: (state, cx) => connect(state, cx, []),
  CLOSING: (state, cx) => connect(state, cx, dropSasOf(cx, state)),
  CLOSED: (state, cx) => {
    if (state.attempt !== undefined) return step(state);
    const begun = begin(cx);
    if (begun === undefined) return step(state, { type: "route", peer: cx.peer, via: "reject" });
    return step({ ...state, attempt: begun.attempt }, begun.out);
  },
};

/** What happens to an association apart from packets. */
export type Happening = "connect" | "first-inbound" | "idle" | "soft-expiry" | "probe" | "close" | "sent";

export function happen(state: State, what: Happening, cx: Context, spi?: Spi): Step {
  if (what === "connect") {
    const handler = CONNECT[state.name] as ((state: State, cx: Context) => Step) | undefined;
    return handler === undefined ? step(state) : handler(state, cx);
  }
  if (state.name === "R2-SENT" || state.name === "ESTABLISHED") {
    switch (what) {
      case "first-inbound": {
        // Under new keys it shows that the peer is ready for them (RFC 7402 3.3.2).
        const proven = spi !== undefined && state.session.rekey?.inbound.spi === spi;
        const moved = established(state, cx);
        if (moved.next.name !== "ESTABLISHED") return moved;
        const switched = switchOver(moved.next, cx, proven);
        return step(switched.next, moved.out, switched.out);
      }
      case "idle":
        return idle(state, cx);
      case "probe":
        return probe(state, cx);
      case "close":
        return close(state, cx, "asked");
      case "soft-expiry":
        return startRekey(state, cx);
      case "sent":
        return step(keepaliveLater(state, cx));
    }
  }
  if (
    what === "close" &&
    (state.name === "I1-SENT" || state.name === "I2-SENT" || state.name === "E-FAILED")
  ) {
    cx.abandon("answer-r1");
    cx.abandon("accept-r2");
    const out = [dropSasOf(cx, state), { type: "route", peer: cx.peer, via: "demand" } as const];
    return step(UNASSOCIATED, ...out, stateEvent(cx, state, "UNASSOCIATED"));
  }
  return step(state);
}

/** When a state wants to be woken, and why. */
export function deadlineOf(
  state: State,
  pending: readonly Pending[],
  config: HostConfig,
): Deadline | undefined {
  switch (state.name) {
    case "I1-SENT":
      return attemptDeadline(state.attempt.retransmit.due, pending);
    case "I2-SENT":
      return pending.some(({ kind }) => kind === "accept-r2")
        ? undefined
        : { at: state.retransmit.due, why: "I2 retransmission" };
    case "R2-SENT":
      return earliest({ at: state.until, why: "exchange complete" }, openDeadline(state, config));
    case "ESTABLISHED":
      return openDeadline(state, config);
    case "CLOSING":
      return earliest(
        { at: state.retransmit.due, why: "CLOSE retransmission" },
        { at: state.until, why: "CLOSING ends" },
      );
    case "CLOSED": {
      const ends = { at: state.until, why: "CLOSED ends" };
      return state.attempt === undefined
        ? ends
        : earliest(ends, attemptDeadline(state.attempt.retransmit.due, pending));
    }
    case "E-FAILED":
      return { at: state.until, why: "E-FAILED ends" };
    case "UNASSOCIATED":
      return undefined;
  }
}

/** While the answer to an R1 is computed, no I1 is repeated; the puzzle's lifetime bounds that. */
function attemptDeadline(due: Instant, pending: readonly Pending[]): Deadline {
  for (const one of pending) {
    if (one.kind === "answer-r1") return { at: one.until, why: "puzzle lifetime" };
  }
  return { at: due, why: "I1 retransmission" };
}

function openDeadline(state: Open, config: HostConfig): Deadline | undefined {
  const { session } = state;
  const due = updateDue(session);
  const keys: Deadline =
    session.rekey === undefined
      ? { at: (session.keyedAt + rekeyAge(state, { config })) as Instant, why: "age of keys" }
      : { at: session.rekey.until, why: "rekeying" };
  const former = session.former[0];
  const { keepaliveAt, wakeAt } = session.mobility;
  return earliest(
    keys,
    due === undefined ? undefined : { at: due as Instant, why: "UPDATE retransmission" },
    former === undefined ? undefined : { at: former.until, why: "former SAs" },
    session.challenge === undefined
      ? undefined
      : { at: session.challenge.until, why: "answer of the association's holder" },
    keepaliveAt === undefined ? undefined : { at: keepaliveAt, why: "NAT keepalive" },
    wakeAt === undefined ? undefined : { at: wakeAt, why: "locators" },
  );
}

/** Tables 3 to 9, timeouts. Called when the deadline has come. */
export function timeout(state: State, cx: Context): Step {
  switch (state.name) {
    case "I1-SENT": {
      cx.abandon("answer-r1");
      const again = i1Again(state.attempt, cx);
      if (again === undefined) return failed(cx, "no_answer_to_i1", []);
      return step({ ...state, attempt: again.attempt }, again.out);
    }
    case "I2-SENT":
      return i2Timeout(state, cx);
    case "R2-SENT":
      return cx.now >= state.until ? exchangeComplete(state, cx) : openTimeout(state, cx);
    case "ESTABLISHED":
      return openTimeout(state, cx);
    case "CLOSING":
      return closingTimeout(state, cx);
    case "CLOSED":
      return closedTimeout(state, cx);
    case "E-FAILED":
      return step(
        UNASSOCIATED,
        { type: "route", peer: cx.peer, via: "demand" },
        stateEvent(cx, state, "UNASSOCIATED"),
      );
    case "UNASSOCIATED":
      return step(state);
  }
}

function openTimeout(state: Open, cx: Context): Step {
  const { challenge } = state.session;
  if (challenge !== undefined && challenge.until <= cx.now) {
    return takeOver(state, challenge.result, challenge.pending, cx);
  }
  const updated = updateTimeout(state, cx);
  if (updated.next.name !== "R2-SENT" && updated.next.name !== "ESTABLISHED") return updated;
  const keys = keyTimeout(updated.next, cx);
  if (keys.next.name !== "R2-SENT" && keys.next.name !== "ESTABLISHED")
    return step(keys.next, updated.out, keys.out);
  const alive = keepaliveTimeout(keys.next, cx);
  const { wakeAt } = alive.next.session.mobility;
  const woken = wakeAt !== undefined && wakeAt <= cx.now ? reconcile(alive.next, cx) : stay(alive.next);
  if (isStranded(woken.next.session, cx)) {
    const closing = close(woken.next, cx, "unreachable");
    return step(closing.next, updated.out, keys.out, alive.out, woken.out, closing.out);
  }
  return step(woken.next, updated.out, keys.out, alive.out, woken.out);
}

function closedTimeout(state: StateOf<"CLOSED">, cx: Context): Step {
  if (state.attempt === undefined || cx.now >= state.until) {
    const { attempt } = state;
    return attempt === undefined
      ? forgotten(state, cx)
      : step({ name: "I1-SENT", attempt }, stateEvent(cx, state, "I1-SENT"));
  }
  cx.abandon("answer-r1");
  const again = i1Again(state.attempt, cx);
  // CLOSED has no way to fail in Table 8: as E-FAILED the peer is rejected for a while, then may be tried again.
  if (again === undefined) return failed(cx, "no_answer_to_i1", []);
  return step({ ...state, attempt: again.attempt }, again.out);
}

/** A job ended: `pending` is what was remembered of it. */
export function conclude(state: State, pending: Pending, result: JobResult, cx: Context): Step {
  switch (pending.kind) {
    case "answer-r1":
      if (result.kind !== "answer-r1" && result.kind !== "refused") break;
      if (state.name !== "I1-SENT" && state.name !== "I2-SENT" && state.name !== "CLOSED") break;
      if (state.name === "CLOSED" && state.attempt === undefined) break;
      return answeredR1(state, result, pending, cx);
    case "accept-i2":
      if (result.kind !== "accept-i2" && result.kind !== "refused") break;
      return acceptedI2(state, result, pending, cx);
    case "accept-r2":
      if (result.kind !== "accept-r2" && result.kind !== "refused") break;
      if (state.name !== "I2-SENT") break;
      return acceptedR2(state, result, pending, cx);
    case "verify":
      return concludeVerify(state, pending.received, result, cx);
    case "make-dh":
      if (result.kind !== "make-dh" && result.kind !== "refused") break;
      if (state.name !== "R2-SENT" && state.name !== "ESTABLISHED") break;
      return madeDh(state, result, cx);
    case "rekey":
      if (result.kind !== "rekey" && result.kind !== "refused") break;
      if (state.name !== "R2-SENT" && state.name !== "ESTABLISHED") break;
      return rekeyed(state, result, pending, cx);
    case "seal":
      return concludeSeal(state, pending, result, cx);
  }
  return step(state, drop("overtaken"));
}

function concludeVerify(state: State, received: Received, result: JobResult, cx: Context): Step {
  const { packet, path } = received;
  if (result.kind === "refused") {
    const told = event(cx, "authentication-failed", { packet: packet.name, reason: result.reason });
    const { notify } = result;
    const answer =
      notify === undefined ? [] : cx.notify(notify.messageType, notify.data, path, packet.bytes.length);
    return step(state, drop(result.reason), told, answer);
  }
  // 5.2.1: from here on the sender is known and may hear why.
  if (result.kind !== "verify") return step(state, drop("overtaken"));
  const unknown =
    packet.unknownCritical[0] ??
    result.insideUnknown[0] ??
    (packet.name === "UPDATE" ? unhandled(packet) : undefined);
  if (unknown !== undefined) {
    const type = NOTIFY.UNSUPPORTED_CRITICAL_PARAMETER_TYPE;
    const answer = cx.notify(type, u16Bytes(unknown), path, packet.bytes.length);
    return notingRefused(step(state, drop("unknown_critical_parameter"), answer), packet);
  }
  if (packet.name === "UPDATE")
    return notingRefused(verifiedUpdate(state, received, result.inside, cx), packet);
  if (packet.name === "CLOSE") return verifiedClose(state, received, cx);
  if (packet.name === "CLOSE_ACK") return verifiedCloseAck(state, cx);
  return step(state, drop("overtaken"));
}

function concludeSeal(
  state: State,
  pending: Extract<Pending, { kind: "seal" }>,
  result: JobResult,
  cx: Context,
): Step {
  if (result.kind !== "seal")
    return step(state, drop(result.kind === "refused" ? result.reason : "overtaken"));
  const { sealed, path } = pending;
  const { bytes } = result;
  switch (sealed.what) {
    case "close":
      return sealedClose(state, bytes, sealed.echo, path);
    case "close-ack":
      return sealedCloseAck(state, bytes, sealed.echo, path);
    case "update":
      return sealedUpdate(state, bytes, sealed, path);
    case "keepalive":
      return step(state, send(path, bytes));
    case "notify":
      if (bytes.length > sealed.limit) return step(state, drop("notify_larger_than_packet"));
      return step(state, send(path, bytes), event(cx, "notify-sent", { bytes: bytes.length }));
  }
}
