/** The Initiator: I1, the answer to R1, R2 (RFC 7401 6.6, 6.8, 6.10). */
import { formatIp } from "../core/ip.ts";
import { after, type Endpoint, NULL_HIT, type Path, sameEndpoint } from "../core/types.ts";
import { mac2OfPacketValid } from "../crypto/signature.ts";
import { get, getAll, raw } from "../wire/packet.ts";
import { HOST_ID, PUZZLE, R1_COUNTER } from "../wire/rfc7401.ts";
import { VIA_RVS } from "../wire/rfc8004.ts";
import { LOCATOR_SET, unmapped } from "../wire/rfc8046.ts";
import { RELAY_TO } from "../wire/rfc9028.ts";
import { natTraversalModes, pathTo } from "./carrier.ts";
import { withMobility } from "./checks.ts";
import {
  type Context,
  drop,
  dropSas,
  event,
  type Pending,
  type Received,
  type Step,
  send,
  step,
  whyRefused,
} from "./context.ts";
import type { HostOutput } from "./io.ts";
import type { I2Made, JobRefused, R2Accepted } from "./job.ts";
import { solveMillis } from "./job-common.ts";
import { keepaliveLater } from "./keepalive.ts";
import { announcedLocators } from "./locator-set.ts";
import { i1 } from "./messages.ts";
import { sentAgain, sentOnce } from "./retransmit.ts";
import { inboundSa, openSession } from "./session.ts";
import { type AnsweredR1, type Attempt, type State, type StateOf, UNASSOCIATED } from "./states.ts";

/** RFC 7401 6.6.1: at most three addresses at once, and one only when retransmitting. */
const PARALLEL_I1S = 3;
/** Random bytes for the start of the search for #J and for the IV of ENCRYPTED. */
const J_BYTES = 48;
const IV_BYTES = 16;

/** The states from which an R1 is answered. */
type Opening = StateOf<"I1-SENT"> | StateOf<"I2-SENT"> | StateOf<"CLOSED">;

/** Begins a base exchange: an attempt and its first I1s, or undefined when no locator is known. */
export function begin(
  cx: Context,
): { readonly attempt: Attempt; readonly out: readonly HostOutput[] } | undefined {
  const candidates = candidatesOf(cx);
  if (candidates.length === 0) return undefined;
  const attempt: Attempt = {
    candidates,
    next: candidates.length > 1 ? Math.min(PARALLEL_I1S, candidates.length - 1) : 0,
    retransmit: sentOnce(cx.config.timers, cx.now, cx.random),
    startedAt: cx.now,
    dhGroups: cx.config.dhGroups,
    opportunistic: false,
  };
  const bytes = i1(cx.local, cx.peer, attempt.dhGroups);
  return { attempt, out: candidates.slice(0, PARALLEL_I1S).map((path) => send(path, bytes)) };
}

/**
 * Where the peer may be: what was learned over UDP is called there also where plain IP is configured. An address of a family
 * that we have no address of can wait for nothing.
 */
function candidatesOf(cx: Context): readonly Path[] {
  const { policy } = cx;
  if (policy === undefined) return [];
  const all = policy.locators.map((remote: Endpoint) =>
    pathTo(remote.port === 0 ? policy.carrier : "udp", remote, cx.config.udpPort),
  );
  const families = new Set(cx.own?.filter((one) => one.local).map(({ address }) => address.includes(":")));
  const reachable = all.filter(({ remote }) => families.has(remote.address.includes(":")));
  return reachable.length === 0 ? all : reachable;
}

/** Every candidate is called once at least, however few repetitions are wanted. */
function mostTries({ candidates }: Attempt, cx: Context): number {
  return Math.max(cx.config.retries.i1, 1 + Math.max(0, candidates.length - PARALLEL_I1S));
}

/** Data waits and there is no association (Table 2), or the old one is closing (Table 7). */
export function connect(state: State, cx: Context, leaving: readonly HostOutput[]): Step {
  const begun = begin(cx);
  if (begun === undefined) return failed(cx, "no_locator", leaving);
  return step(
    { name: "I1-SENT", attempt: begun.attempt },
    leaving,
    begun.out,
    stateEvent(cx, state, "I1-SENT"),
  );
}

export function failed(cx: Context, reason: string, leaving: readonly HostOutput[]): Step {
  const until = after(cx.now, cx.config.timers.failedHold);
  return step(
    { name: "E-FAILED", until, reason },
    leaving,
    { type: "route", peer: cx.peer, via: "reject" },
    event(cx, "association-failed", { reason }),
  );
}

export function stateEvent(cx: Context, from: State, to: State["name"]): HostOutput {
  return event(cx, "association-state", { from: from.name, to });
}

/** The I1 timer of I1-SENT (Table 3) and of CLOSED with an attempt. Undefined: no try is left. */
export function i1Again(
  attempt: Attempt,
  cx: Context,
): { readonly attempt: Attempt; readonly out: readonly HostOutput[] } | undefined {
  const path = attempt.candidates[attempt.next];
  if (path === undefined || attempt.retransmit.tries >= mostTries(attempt, cx)) return undefined;
  const receiver = attempt.opportunistic ? NULL_HIT : cx.peer;
  const retransmit = sentAgain(attempt.retransmit, cx.config.timers.retransmitMax, cx.now, cx.random);
  const next = (attempt.next + 1) % attempt.candidates.length;
  return {
    attempt: { ...attempt, retransmit, next },
    out: [send(path, i1(cx.local, receiver, attempt.dhGroups))],
  };
}

/** RFC 7401 6.8 steps 1 to 3; the rest is a job. */
export function receiveR1(state: Opening, received: Received, cx: Context): Step {
  const { packet, path } = received;
  if (state.name === "CLOSED" && state.attempt === undefined) return step(state, drop("r1_unexpected"));
  const counter = get(packet, R1_COUNTER)?.counter;
  if (state.name === "I2-SENT") {
    const answered = (state.newer?.result ?? state).r1Counter;
    if (counter === undefined || counter <= (answered ?? counter)) return step(state, drop("r1_not_newer"));
  }
  if (cx.busy("answer-r1")) return step(state, drop("busy"));
  const puzzle = get(packet, PUZZLE);
  if (puzzle === undefined || raw(packet, HOST_ID) === undefined) return step(state, drop("r1_incomplete"));
  const relay = path.carrier === "udp" && raw(packet, RELAY_TO) !== undefined ? path.remote : undefined;
  if (relay !== undefined && raw(packet, LOCATOR_SET) === undefined) return step(state, drop("r1_relayed"));
  const inbound = cx.newInbound();
  const startedAt = state.name === "I2-SENT" ? state.startedAt : (state.attempt?.startedAt ?? cx.now);
  const lifetime = solveMillis(puzzle.lifetime);
  const { config } = cx;
  const called = answerPath(state, path);
  const started = cx.start(
    {
      kind: "answer-r1",
      localHit: cx.local,
      r1: packet.bytes,
      dhGroups: state.name === "I2-SENT" ? state.dhGroups : (state.attempt?.dhGroups ?? config.dhGroups),
      hipCiphers: config.hipCiphers,
      espSuites: config.espSuites,
      encryptHostId: config.encryptHostId,
      domainIdentifier: config.domainIdentifier,
      solveK: config.puzzle.solveK,
      j: cx.random.bytes(J_BYTES),
      iv: cx.random.bytes(IV_BYTES),
      spi: inbound.spi,
      lsiSpi: inbound.lsiSpi,
      natTraversalModes: natTraversalModes(path.carrier),
    },
    {
      kind: "answer-r1",
      // An RVS relays I1s only: the I2 goes to the Responder itself, and after that to whom we called.
      path: viaRendezvous(state, received) ? path : called,
      called,
      relay,
      inbound,
      startedAt,
      until: after(cx.now, lifetime),
    },
  );
  return step(state, started ? [] : drop("jobs_full"));
}

/**
 * Where the I2 goes: to the locator that the R1 came from. The signature of an R1 does not cover its address, so that
 * a replayed one could lead us anywhere: an address that we did not call is not believed, and the I2 goes to the
 * locator that the last I1 went to.
 */
function answerPath(state: Opening, received: Path): Path {
  const called = state.name === "I2-SENT" ? [...placesOf(state), ...state.candidates] : candidatesIn(state);
  const last =
    state.name === "I2-SENT" ? 0 : ((state.attempt?.next ?? 0) + called.length - 1) % (called.length || 1);
  // Behind one address there may be several of a NAT's ports, of which one is the peer's now.
  const match =
    called.find(({ remote }) => sameEndpoint(remote, received.remote)) ??
    called.find(({ remote }) => remote.address === received.remote.address) ??
    called[last];
  return match === undefined ? received : withLocal(match, received.local);
}

/** Where the I2 goes, in turns. */
function placesOf({ path, fallback }: StateOf<"I2-SENT">): readonly Path[] {
  return fallback === undefined ? [path] : [path, fallback];
}

/** From that address of ours, where it is of the same family. */
function withLocal(path: Path, local: Endpoint): Path {
  const sameFamily = local.address.includes(":") === path.remote.address.includes(":");
  return { ...path, local: sameFamily ? local : { ...local, address: "" } };
}

/** Where I1s went, best first. */
function candidatesIn(state: Opening): readonly Path[] {
  return state.name === "I2-SENT" ? state.candidates : (state.attempt?.candidates ?? []);
}

/** RFC 8004 4.2.3: it says that the I1 came to the Responder by way of a rendezvous server that we called. */
function viaRendezvous(state: Opening, { packet, path }: Received): boolean {
  // VIA_RVS is not signed: once an I2 is under way it leads nowhere else.
  if (state.name === "I2-SENT") return false;
  const called = candidatesIn(state);
  if (called.some(({ remote }) => remote.address === path.remote.address)) return false;
  return getAll(packet, VIA_RVS).some(({ addresses }) =>
    addresses.some((bytes) => called.some(({ remote }) => remote.address === formatIp(unmapped(bytes)))),
  );
}

/**
 * The I2 is ready: send it and go to I2-SENT (steps 16 to 19; RFC 7402 6.4). Where a first I2 is under way to another place,
 * the answer to a newer R1 waits (step 8 is a MAY): I1s go to several places at once, and when the Responder replaces its
 * R1 between two of them, both are good, but the keys of one I2 only can be ours.
 */
export function answeredR1(
  state: Opening,
  result: I2Made | JobRefused,
  pending: Extract<Pending, { kind: "answer-r1" }>,
  cx: Context,
): Step {
  if (result.kind === "refused") return refusedR1(state, result, pending, cx);
  if (cx.now > pending.until) return step(state, drop("puzzle_expired"));
  // An R2 with a valid HIP_MAC is being checked: its keys are the state's, and the association is nearly there.
  if (cx.busy("accept-r2")) return step(state, drop("overtaken"));
  if (
    state.name === "I2-SENT" &&
    !placesOf(state).some(({ remote }) => sameEndpoint(remote, pending.path.remote))
  )
    return step({ ...state, newer: { result, pending } });
  return sendI2(state, { result, pending }, cx);
}

function sendI2(state: Opening, { result, pending }: AnsweredR1, cx: Context): Step {
  const { carrier } = pending.path;
  const { list: announced, preferred } = announcedLocators(result.locators, carrier, cx.config.udpPort);
  const path = toPreferred(pending.path, preferred);
  const { relay } = pending;
  if (relay !== undefined && (preferred === undefined || sameEndpoint(preferred, relay)))
    return step(state, drop("r1_relayed"));
  const other = path === pending.path ? pending.called : pending.path;
  const inbound = { ...pending.inbound, lsiSpi: result.lsiSpi };
  const leaving = state.name === "I2-SENT" ? dropSas(cx, state.inbound.spi) : [];
  const dhGroups = state.name === "I2-SENT" ? state.dhGroups : (state.attempt?.dhGroups ?? []);
  const next: StateOf<"I2-SENT"> = {
    name: "I2-SENT",
    retransmit: sentOnce(cx.config.timers, cx.now, cx.random),
    startedAt: pending.startedAt,
    i2: result.i2,
    path,
    fallback: relay !== undefined || other === path ? undefined : other,
    inbound,
    agreement: result.agreement,
    hostId: result.hostId,
    r1Counter: result.r1Counter,
    puzzleK: result.puzzleK,
    announced,
    dhGroups,
    candidates: candidatesIn(state),
    newer: undefined,
  };
  const moved = state.name === "I2-SENT" ? [] : stateEvent(cx, state, "I2-SENT");
  return step(next, leaving, inboundSa(cx, result.agreement, inbound, path), send(path, result.i2), moved);
}

/** RFC 8047 4.2.8: the I2 goes to the preferred locator that the signed R1 names for HIP packets, too; it needs no check. */
function toPreferred(path: Path, preferred: Endpoint | undefined): Path {
  if (preferred === undefined || sameEndpoint(preferred, path.remote)) return path;
  return withLocal({ ...path, remote: preferred }, path.local);
}

function refusedR1(
  state: Opening,
  refused: JobRefused,
  pending: Extract<Pending, { kind: "answer-r1" }>,
  cx: Context,
): Step {
  const told = event(cx, "exchange-refused", {
    packet: "R1",
    reason: refused.reason,
    detail: refused.detail,
  });
  return step(state, drop(refused.reason), told, whyRefused(refused, pending.path, cx));
}

/** Table 4, timeout. */
export function i2Timeout(state: StateOf<"I2-SENT">, cx: Context): Step {
  const { newer } = state;
  if (newer !== undefined && cx.now <= newer.pending.until && !cx.busy("accept-r2"))
    return sendI2({ ...state, newer: undefined }, newer, cx);
  if (state.retransmit.tries >= cx.config.retries.i2)
    return failed(cx, "no_answer_to_i2", dropSas(cx, state.inbound.spi));
  const retransmit = sentAgain(state.retransmit, cx.config.timers.retransmitMax, cx.now, cx.random);
  const path = state.fallback ?? state.path;
  const fallback = state.fallback === undefined ? undefined : state.path;
  return step({ ...state, retransmit, path, fallback }, send(path, state.i2));
}

/** RFC 7401 6.10: HIP_MAC_2 here, for one hash; the signature in a job. */
export function receiveR2(state: StateOf<"I2-SENT">, received: Received, cx: Context): Step {
  const { agreement, hostId } = state;
  if (!mac2OfPacketValid(received.packet, agreement.rhash, agreement.macIn, hostId))
    return step(state, drop("mac"));
  if (cx.busy("accept-r2")) return step(state, drop("busy"));
  const started = cx.start(
    {
      kind: "accept-r2",
      r2: received.packet.bytes,
      peer: agreement.peer,
      rhash: agreement.rhash,
      macKey: agreement.macIn,
      hostId,
      decrypt: { cipher: agreement.hipCipher, key: agreement.encryptIn },
    },
    { kind: "accept-r2", path: received.path },
  );
  return step(state, started ? [] : drop("jobs_full"));
}

export function acceptedR2(
  state: StateOf<"I2-SENT">,
  result: R2Accepted | JobRefused,
  pending: Extract<Pending, { kind: "accept-r2" }>,
  cx: Context,
): Step {
  if (result.kind === "refused") {
    const told = event(cx, "authentication-failed", { packet: "R2", reason: result.reason });
    return step(state, drop(result.reason), told, whyRefused(result, pending.path, cx));
  }
  cx.abandon("answer-r1");
  // Only opportunistic mode has come so far with a peer that is not configured; the inbound SA stood for its answer.
  if (!cx.admit(state.path) && (state.fallback === undefined || !cx.admit(state.fallback))) {
    cx.farewell(state.agreement, state.path);
    return step(UNASSOCIATED, dropSas(cx, state.inbound.spi), drop("policy"));
  }
  const agreement = { ...state.agreement, peerSpi: result.peerSpi, peerLsiSpi: result.peerLsiSpi };
  // Of the two places that the I2 went to, the one that the answer came from.
  const { fallback } = state;
  const path =
    fallback !== undefined && sameEndpoint(fallback.remote, pending.path.remote) ? fallback : state.path;
  // RFC 8046 5.2: a set replaces an earlier one.
  const { list } = announcedLocators(result.locators, state.path.carrier, cx.config.udpPort);
  const { session, out } = openSession(cx, {
    agreement,
    announced: list.length > 0 ? list : state.announced,
    outbound: result.peerSpi,
    inbound: state.inbound,
    path: path.local.address === "" ? { ...path, local: pending.path.local } : path,
    role: "initiator",
    startedAt: state.startedAt,
    mapped: result.mapped,
  });
  // Packets that wait for the association leave before anybody speaks of locators: that timer is due at once.
  const next = withMobility(keepaliveLater({ name: "ESTABLISHED", session }, cx), { wakeAt: cx.now });
  const { mapped } = result;
  const { local } = session.path;
  const seen: readonly HostOutput[] =
    mapped === undefined ? [] : [{ type: "seen-as", peer: cx.peer, local, mapped }];
  return step(next, out, stateEvent(cx, state, "ESTABLISHED"), seen);
}
