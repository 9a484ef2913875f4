/** Sending UPDATEs: SEQ and retransmission, ACK (RFC 7401 5.3.5, 6.11). */
import type { Path } from "../core/types.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import { ACK, SEQ } from "../wire/rfc7401.ts";
import { type Context, drop, type Step, send, step } from "./context.ts";
import type { HostOutput } from "./io.ts";
import { type Retransmit, sentOnce } from "./retransmit.ts";
import type { Open, Session, State } from "./states.ts";
import { MAX_OUTSTANDING, outstandingAt, type Updates } from "./update-state.ts";

/** AES-CBC (RFC 7401 5.2.18). */
const IV_BYTES = 16;

/**
 * Sends an UPDATE that must be acknowledged (6.11 steps 1 to 3). `answers`: the peer's Update ID that it acknowledges,
 * so that it can be sent again when the peer repeats itself; `unsigned`: what stands behind its signature; `secret`:
 * what travels inside ENCRYPTED; `via`: another path than the one in use.
 */
export function sendUpdate(
  state: Open,
  parameters: readonly DraftParameter[],
  cx: Context,
  how: {
    readonly answers?: number | undefined;
    readonly unsigned?: readonly DraftParameter[];
    readonly secret?: readonly DraftParameter[];
    readonly via?: Path;
    readonly retransmit?: Retransmit;
  } = {},
): { readonly next: Open; readonly out: readonly HostOutput[] } {
  const { updates } = state.session;
  if (updates.outstanding.length >= MAX_OUTSTANDING)
    return { next: state, out: [drop("updates_outstanding")] };
  const id = updates.nextId;
  const outstanding = {
    id,
    parameters,
    secret: how.secret ?? [],
    unsigned: how.unsigned ?? [],
    via: how.via,
    bytes: undefined,
    outdated: false,
    acknowledged: false,
    retransmit: how.retransmit ?? sentOnce(cx.config.timers, cx.now, cx.random),
  };
  const next: Updates = {
    ...updates,
    nextId: (id + 1) >>> 0,
    outstanding: [...updates.outstanding, outstanding],
  };
  const sealing = sealUpdate(
    state.session,
    [SEQ.of({ updateId: id }), ...parameters],
    { id, answers: how.answers },
    how.via ?? state.session.path,
    cx,
    { unsigned: how.unsigned, secret: how.secret },
  );
  return { next: withUpdates(state, next), out: sealing };
}

/** Acknowledges an UPDATE of the peer along the path that it came by (6.12.1 step 6). */
export function answerUpdate(
  state: Open,
  id: number,
  parameters: readonly DraftParameter[],
  path: Path,
  cx: Context,
  unsigned: readonly DraftParameter[] = [],
): readonly HostOutput[] {
  const acknowledging = [ACK.of({ ids: [id] }), ...parameters];
  return sealUpdate(state.session, acknowledging, { id: undefined, answers: id }, path, cx, { unsigned });
}

export function sealUpdate(
  session: Session,
  parameters: readonly DraftParameter[],
  what: { readonly id: number | undefined; readonly answers: number | undefined },
  path: Path,
  cx: Context,
  more: {
    readonly unsigned?: readonly DraftParameter[] | undefined;
    readonly secret?: readonly DraftParameter[] | undefined;
  } = {},
): readonly HostOutput[] {
  const { agreement } = session;
  const { secret = [], unsigned = [] } = more;
  const encrypt =
    secret.length === 0
      ? undefined
      : {
          parameters: secret,
          cipher: agreement.hipCipher,
          key: agreement.encryptOut,
          iv: cx.random.bytes(IV_BYTES),
        };
  const started = cx.start(
    {
      kind: "seal",
      localHit: cx.local,
      draft: { name: "UPDATE", sender: cx.local, receiver: cx.peer, parameters },
      rhash: agreement.rhash,
      macKey: agreement.macOut,
      unsigned,
      ...(encrypt === undefined ? {} : { encrypt }),
    },
    { kind: "seal", sealed: { what: "update", ...what }, path },
  );
  return started ? [] : [drop("jobs_full")];
}

/** An UPDATE is signed: remember it for retransmission, or as the answer to a repeated one. */
export function sealedUpdate(
  state: State,
  bytes: Uint8Array,
  sealed: { readonly id: number | undefined; readonly answers: number | undefined },
  path: Path,
): Step {
  if (state.name !== "R2-SENT" && state.name !== "ESTABLISHED") return step(state, drop("overtaken"));
  const { updates, mobility } = state.session;
  // Nobody waits for it any more: the path is gone, or another UPDATE says it better.
  if (sealed.id !== undefined && outstandingAt(updates, sealed.id) === undefined)
    return step(state, drop("overtaken"));
  const outstanding = updates.outstanding.map((one) =>
    one.id === sealed.id ? { ...one, bytes: one.outdated ? undefined : bytes, outdated: false } : one,
  );
  // An answer that asks whether the peer is there must never go anywhere else: it repeats itself.
  const asks = mobility.checks.some(({ updateId }) => updateId === sealed.id);
  const lastAnswer =
    sealed.answers === undefined || asks
      ? updates.lastAnswer
      : { id: sealed.answers, bytes, againAt: Number.NEGATIVE_INFINITY };
  return step(withUpdates(state, { ...updates, outstanding, lastAnswer }), send(path, bytes));
}

export function withUpdates<S extends Open>(state: S, updates: Updates): S {
  return { ...state, session: { ...state.session, updates } };
}
