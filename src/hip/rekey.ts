/** New keys for the ESP SAs of a living association (RFC 7402 3.3.2, 5.3, 6.8 to 6.10). */
import { equal } from "../core/bytes.ts";
import { after, type Instant, type Path, type Spi } from "../core/types.ts";
import { get, type Packet } from "../wire/packet.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import { HIPD_LSI_SPI } from "../wire/private.ts";
import { ACK, DIFFIE_HELLMAN, SEQ } from "../wire/rfc7401.ts";
import { ESP_INFO } from "../wire/rfc7402.ts";
import { atRest, plainAgreement } from "./agreement.ts";
import { withNewSpi } from "./checks.ts";
import { close } from "./close.ts";
import { type Context, drop, dropSas, event, type Pending, type Step, step } from "./context.ts";
import type { HipDrop } from "./drop-reasons.ts";
import type { HostOutput } from "./io.ts";
import type { DhMade, DhPair, JobRefused, Rekeyed } from "./job.ts";
import { isSpi, MAX_KEYMAT_INDEX } from "./job-common.ts";
import { signedEcho, unsignedEchoes } from "./messages.ts";
import { onCredit } from "./mobility.ts";
import { agreedSpis, inboundSa, outboundSa } from "./session.ts";
import type { EspOffer, Open, Rekey, Session } from "./states.ts";
import { answerUpdate, sendUpdate, withUpdates } from "./update-send.ts";
import { outstandingAt, unrecorded } from "./update-state.ts";

/** How long the old SAs stay for packets that are still on their way. */
export const FORMER_SA_MILLIS = 10_000;
/** Pairs of old SAs of one association: with those in use and those of a rekeying fewer than the data plane has room for. */
const MAX_FORMER_SAS = 4;
/** RFC 7402 6.8 step 5: an outstanding request is not kept for ever. */
const REKEY_MILLIS = 60_000;

/** KEYMAT that is left for when the peer asks for keys at a higher index, too. */
const SPARE_KEYMAT = 1_024;
/** What could not begin, and what failed, is tried again after so long: keys must not run out. */
const REKEY_SOON_MILLIS = 2_000;
const REKEY_AGAIN_MILLIS = 10_000;

/** Begins to rekey, unless an UPDATE of ours is under way (6.8: no new UPDATEs meanwhile): then it begins later. */
export function startRekey(state: Open, cx: Context): Step {
  const { session } = state;
  const asking = ({ id }: { readonly id: number }): boolean =>
    session.mobility.checks.some(({ updateId }) => updateId === id);
  if (session.rekey !== undefined) return step(state);
  const later = rekeyIn(state, REKEY_SOON_MILLIS, cx);
  if (session.updates.outstanding.some((one) => !asking(one)) || cx.busy("make-dh")) return step(later);
  const enough = session.agreement.keymatIndex <= MAX_KEYMAT_INDEX - SPARE_KEYMAT;
  if (!cx.config.rekeyWithDh && enough) return offer(state, undefined, cx);
  const started = cx.start({ kind: "make-dh", group: session.agreement.dhGroup }, { kind: "make-dh" });
  return step(later, started ? [] : drop("jobs_full"));
}

/** As if the keys were so old that they must be replaced after `millis`. */
function rekeyIn(state: Open, millis: number, cx: Context): Open {
  const keyedAt = (cx.now - rekeyAge(state, cx) + millis) as Instant;
  return { ...state, session: { ...state.session, keyedAt } };
}

/** The new Diffie-Hellman key is there: send the request. */
export function madeDh(state: Open, result: DhMade | JobRefused, cx: Context): Step {
  if (result.kind === "refused") return step(state, drop(result.reason));
  if (state.session.rekey !== undefined) return step(state, drop("overtaken"));
  return offer(state, result.dh, cx);
}

function offer(state: Open, dh: DhPair | undefined, cx: Context): Step {
  const { session } = state;
  const inbound = agreedSpis(cx.newInbound(), session.agreement);
  const rekey: Rekey = {
    inbound,
    // 6.8 step 2: zero with a new Diffie-Hellman key, else at least the next byte to be drawn.
    keymatIndex: dh === undefined ? session.agreement.keymatIndex : 0,
    dh,
    updateId: session.updates.nextId,
    theirs: undefined,
    keyed: undefined,
    acknowledged: false,
    until: after(cx.now, REKEY_MILLIS),
  };
  const next = { ...state, session: { ...session, rekey } };
  const sent = sendUpdate(next, offerParameters(next, rekey), cx);
  return step(sent.next, sent.out);
}

function offerParameters(state: Open, rekey: Rekey): readonly DraftParameter[] {
  const { session } = state;
  const { lsiSpi } = rekey.inbound;
  return [
    ESP_INFO.of({ keymatIndex: rekey.keymatIndex, oldSpi: session.inbound.spi, newSpi: rekey.inbound.spi }),
    ...(rekey.dh === undefined
      ? []
      : [DIFFIE_HELLMAN.of({ group: rekey.dh.group, publicValue: rekey.dh.publicValue })]),
    ...(lsiSpi === undefined ? [] : [HIPD_LSI_SPI.of({ lsiSpi })]),
  ];
}

/** Whether there is an SA to the peer with this SPI, be it one that is about to end. */
function isInUse({ outbound, rekey, former }: Session, spi: number): boolean {
  return spi === outbound || spi === rekey?.keyed?.peerSpi || former.some((one) => one.outbound === spi);
}

/** Whether the peer has, or had a moment ago, an inbound SA with this SPI. */
function isKnown(session: Session, spi: number): boolean {
  return spi === session.formerSpi || isInUse(session, spi);
}

/**
 * What an UPDATE says about SAs: an offer of new keys, nothing, that the only SA is to be used no more, or something
 * that must be dropped (6.9 step 1; RFC 8046 5.3).
 */
export function offerIn(
  state: Open,
  packet: Packet,
): EspOffer | "none" | "deprecated" | { readonly drop: HipDrop } {
  const info = get(packet, ESP_INFO);
  const dh = get(packet, DIFFIE_HELLMAN);
  if (info === undefined) return dh === undefined ? "none" : { drop: "rekey_without_esp_info" };
  const { session } = state;
  const { agreement, outbound } = session;
  if (dh !== undefined && (info.keymatIndex !== 0 || dh.group !== agreement.dhGroup))
    return { drop: "rekey_dh" };
  const known = isKnown(session, info.oldSpi);
  // RFC 8046 5.3 case 1: it announces an SA and changes no key.
  if (info.oldSpi === info.newSpi) return known ? "none" : { drop: "rekey_spi" };
  // Case 3, one more SA: there is one pair, and all the peer's addresses reach it.
  if (info.oldSpi === 0 && dh === undefined)
    return isSpi(info.newSpi) && !isKnown(session, info.newSpi) ? "none" : { drop: "rekey_spi" };
  // Case 4: addresses that are bound to no other SA. Nothing is left that a new key could be for.
  if (known && info.newSpi === 0) {
    if (dh !== undefined) return { drop: "rekey_dh" };
    return info.oldSpi === outbound && session.rekey?.keyed === undefined ? "deprecated" : "none";
  }
  // Case 2. Of two SAs with one SPI the end of the older would be the end of both.
  if (info.oldSpi !== outbound || !isSpi(info.newSpi) || isInUse(session, info.newSpi))
    return { drop: "rekey_spi" };
  // 6.8 step 1. With an old key of ours in our own offer, the same one again would give the same ESP keys again.
  const kept = session.rekey !== undefined && session.rekey.dh === undefined;
  if (kept && dh !== undefined && equal(dh.publicValue, agreement.peerPublic)) return { drop: "rekey_dh" };
  const lsiSpi = get(packet, HIPD_LSI_SPI)?.lsiSpi;
  return {
    keymatIndex: info.keymatIndex,
    newSpi: info.newSpi as Spi,
    lsiSpi: lsiSpi !== undefined && isSpi(lsiSpi) ? (lsiSpi as Spi) : undefined,
    dhPublic: dh?.publicValue,
    updateId: get(packet, SEQ)?.updateId ?? 0,
    echoes: { signed: signedEcho(packet), unsigned: unsignedEchoes(packet) },
  };
}

/**
 * Both offers are known (or ours is made now): draw the keys in a job. The answer goes out only when the new inbound SA
 * stands, because the peer may use it as soon as it hears us.
 */
export function takeOffer(state: Open, theirs: EspOffer, path: Path, cx: Context): Step {
  const { session } = state;
  if (session.rekey?.theirs !== undefined) return step(state, drop("rekey_under_way"));
  const ours = session.rekey;
  const rekey: Rekey = ours
    ? { ...ours, theirs }
    : {
        inbound: agreedSpis(cx.newInbound(), session.agreement),
        // 6.9.1 step 2: zero with a new key, else the index that the peer asked for, if it may be.
        keymatIndex:
          theirs.dhPublic === undefined ? Math.max(theirs.keymatIndex, session.agreement.keymatIndex) : 0,
        dh: undefined,
        updateId: undefined,
        theirs,
        keyed: undefined,
        acknowledged: false,
        until: after(cx.now, REKEY_MILLIS),
      };
  const started = cx.start(
    {
      kind: "rekey",
      localHit: cx.local,
      peerHit: cx.peer,
      agreement: plainAgreement(session.agreement),
      dh: rekey.dh ?? (ours === undefined && theirs.dhPublic !== undefined ? "new" : undefined),
      peerPublic: theirs.dhPublic,
      keymatIndex: Math.max(rekey.keymatIndex, theirs.keymatIndex),
    },
    { kind: "rekey", path },
  );
  if (!started) return step(state, drop("jobs_full"));
  return step({ ...state, session: { ...session, rekey } });
}

/** The keys are drawn: install both SAs, answer, and switch if the peer is known to be ready (6.10). */
export function rekeyed(
  state: Open,
  result: Rekeyed | JobRefused,
  pending: Extract<Pending, { kind: "rekey" }>,
  cx: Context,
): Step {
  const { session } = state;
  const { rekey } = session;
  const theirs = rekey?.theirs;
  if (rekey === undefined || theirs === undefined) return step(state, drop("overtaken"));
  // Not taken, so never acknowledged: else the peer would wait for our half, and pair its offer with a later one.
  if (result.kind === "refused")
    return abandonRekey(withUpdates(state, unrecorded(session.updates, theirs.updateId)), cx, result.reason);
  const bothLsi = session.agreement.peerLsiSpi !== undefined && theirs.lsiSpi !== undefined;
  const agreement = {
    ...result.agreement,
    peerSpi: theirs.newSpi,
    peerLsiSpi: bothLsi ? theirs.lsiSpi : undefined,
  };
  const keyed: Rekey = { ...rekey, keyed: atRest(agreement), dh: result.ourNewDh ?? rekey.dh };
  const installed = [
    inboundSa(cx, agreement, rekey.inbound, session.path),
    outboundSa(cx, agreement, theirs.newSpi, agreement.peerLsiSpi, session.path),
    ...(onCredit(session) ? [onCreditSa(theirs.newSpi, session.path, cx)] : []),
  ];
  const next: Open = { ...state, session: { ...session, rekey: keyed } };
  const { signed, unsigned } = theirs.echoes;
  if (rekey.updateId === undefined) {
    // We answer: our half of the exchange, which also acknowledges theirs (5.3.2).
    const half = { ...keyed, updateId: session.updates.nextId };
    const answering: Open = { ...next, session: { ...next.session, rekey: half } };
    const parameters = [...offerParameters(answering, half), ACK.of({ ids: [theirs.updateId] }), ...signed];
    const sent = sendUpdate(answering, parameters, cx, { answers: theirs.updateId, unsigned });
    return step(sent.next, installed, sent.out);
  }
  const acknowledging = answerUpdate(next, theirs.updateId, signed, pending.path, cx, unsigned);
  const switched = switchOver(next, cx);
  return step(switched.next, installed, acknowledging, switched.out);
}

/** New keys verify no address (RFC 8046 3.2.2, 5.6). */
function onCreditSa(spi: Spi, path: Path, cx: Context): HostOutput {
  return { type: "sa-path", peer: cx.peer, spi, path, verified: false };
}

/** Our UPDATE was acknowledged, or the peer already sends under the new keys: so may we (3.3.2). */
export function switchOver(state: Open, cx: Context, proven = false): Step {
  const { session } = state;
  const { rekey } = session;
  if (rekey?.keyed?.peerSpi === undefined || (!rekey.acknowledged && !proven)) return step(state);
  const former = {
    inbound: session.inbound.spi,
    outbound: session.outbound,
    until: after(cx.now, FORMER_SA_MILLIS),
  };
  const all = [...session.former, former];
  const gone = all.splice(0, all.length - MAX_FORMER_SAS);
  const next: Open = {
    ...state,
    session: {
      ...session,
      agreement: rekey.keyed,
      inbound: rekey.inbound,
      outbound: rekey.keyed.peerSpi,
      formerSpi: session.outbound,
      keyedAt: cx.now,
      rekey: undefined,
      former: all,
    },
  };
  return step(
    withNewSpi(next),
    { type: "route", peer: cx.peer, via: rekey.keyed.peerSpi },
    gone.flatMap(({ inbound, outbound }) => dropSas(cx, inbound, outbound)),
    event(cx, "association-rekeyed", { dh: rekey.dh === undefined ? "kept" : "new" }),
  );
}

/** The request came to nothing: its SAs go, the old ones stay in use. */
export function abandonRekey(state: Open, cx: Context, reason: string): Step {
  const { rekey } = state.session;
  const out: HostOutput[] = [
    ...(rekey?.keyed === undefined ? [] : dropSas(cx, rekey.inbound.spi, rekey.keyed.peerSpi)),
    event(cx, "rekey-failed", { reason }),
  ];
  // The data plane says only once that an SA is worn.
  const again = rekeyIn(state, REKEY_AGAIN_MILLIS, cx);
  return step({ ...again, session: { ...again.session, rekey: undefined } }, out);
}

/** Timers of keys: former SAs, a request without an end, the age limit. */
export function keyTimeout(state: Open, cx: Context): Step {
  const { session } = state;
  const gone = session.former.filter(({ until }) => until <= cx.now);
  if (gone.length > 0) {
    const former = session.former.filter(({ until }) => until > cx.now);
    const out = gone.flatMap(({ inbound, outbound }) => dropSas(cx, inbound, outbound));
    return step({ ...state, session: { ...session, former } }, out);
  }
  const { rekey } = session;
  if (rekey !== undefined && rekey.until <= cx.now) {
    // An offer that is still repeated may be taken at any time: to forget it is for whoever gives its UPDATE up.
    if (outstandingAt(session.updates, rekey.updateId) !== undefined) {
      const longer = { ...rekey, until: after(cx.now, REKEY_MILLIS) };
      return step({ ...state, session: { ...session, rekey: longer } });
    }
    // The peer may use keys by now that we would forget: better a new association than one that is deaf.
    return rekey.theirs !== undefined
      ? close(state, cx, "rekey_timeout")
      : abandonRekey(state, cx, "timeout");
  }
  if (session.rekey === undefined && cx.now >= session.keyedAt + rekeyAge(state, cx))
    return startRekey(state, cx);
  return step(state);
}

/** The Initiator of the exchange rekeys first; the Responder only when that failed, so that they rarely collide. */
export function rekeyAge(state: Open, cx: Pick<Context, "config">): number {
  const { rekeyAfter } = cx.config.timers;
  return state.session.role === "initiator" ? rekeyAfter : rekeyAfter * 1.25;
}
