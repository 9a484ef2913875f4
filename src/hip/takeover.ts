/**
 * Associations that another process goes on with: what a stopping host hands over, and what its successor takes. Plain
 * data with keys in it: it never goes to disk. The ESP SAs themselves stay with the data plane.
 */
import type { Hit, Instant, Spi } from "../core/types.ts";
import { atRest, plainAgreement } from "./agreement.ts";
import type { Association } from "./association.ts";
import type { HostOutput } from "./io.ts";
import type { HandedR1s } from "./r1-entry.ts";
import { dropSasOf } from "./session.ts";
import type { InboundSpis, Open, Rekey, Session, State, StateOf } from "./states.ts";
import { unrecorded } from "./update-state.ts";

/** A CLOSE that was lost is repeated, and one that the peer repeats is answered, also by a successor. */
export type HandedState = Open | StateOf<"CLOSING"> | StateOf<"CLOSED">;

/** One association that is open, or that is being closed. */
export interface HandedAssociation {
  readonly local: Hit;
  readonly peer: Hit;
  /** When its state began. */
  readonly since: Instant;
  readonly state: HandedState;
}

export interface HandedHost {
  readonly associations: readonly HandedAssociation[];
  /** SAs of associations that are not handed over: the data plane has them, and the successor drops them. */
  readonly leftovers: readonly HostOutput[];
  /** R1s that I2s may still answer. */
  readonly r1s: HandedR1s;
}

export function isOpen(state: State): state is Open {
  return state.name === "R2-SENT" || state.name === "ESTABLISHED";
}

export function handedHost(all: readonly Association[], r1s: HandedR1s): HandedHost {
  const associations: HandedAssociation[] = [];
  const dropped: HostOutput[] = [];
  for (const association of all) {
    const one = handed(association);
    if (one === undefined) dropped.push(...leftovers(association));
    else associations.push(one);
  }
  return { associations, leftovers: dropped, r1s };
}

/** What a successor needs of an association; undefined: it has nothing that another process could go on with. */
function handed(association: Association): HandedAssociation | undefined {
  const { local, peer, state, since } = association;
  switch (state.name) {
    case "R2-SENT":
    case "ESTABLISHED": {
      // The keys were to be drawn by a job that ends with this process.
      const drawing = association.running("rekey") > 0;
      return { local, peer, since, state: { ...state, session: plainSession(state.session, drawing) } };
    }
    case "CLOSING":
      return { local, peer, since, state: { ...state, session: plainSession(state.session, false) } };
    case "CLOSED": {
      // An exchange that has just begun begins anew, as in any other state.
      const agreement = plainAgreement(state.agreement);
      return { local, peer, since, state: { ...state, agreement, attempt: undefined } };
    }
    default:
      return undefined;
  }
}

export function leftovers(association: Association): readonly HostOutput[] {
  return dropSasOf({ peer: association.peer }, association.state);
}

/**
 * With agreements as plain records. The question to a holder of the same identity ends with this process, and so do jobs
 * whose signatures would be outdated.
 */
function plainSession(session: Session, drawing: boolean): Session {
  const { agreement, rekey } = session;
  const outstanding = session.updates.outstanding.map((one) => ({ ...one, outdated: false }));
  const updates = { ...session.updates, outstanding };
  const unheard = drawing && rekey?.keyed === undefined ? rekey?.theirs?.updateId : undefined;
  return {
    ...session,
    agreement: plainAgreement(agreement),
    challenge: undefined,
    rekey: rekey === undefined ? undefined : plainRekey(rekey, drawing),
    updates: unheard === undefined ? updates : unrecorded(updates, unheard),
  };
}

/** Without keys for it, the peer's offer is as if it had never come: it repeats it. */
function plainRekey(rekey: Rekey, drawing: boolean): Rekey | undefined {
  if (rekey.keyed !== undefined) return { ...rekey, keyed: plainAgreement(rekey.keyed) };
  if (!drawing) return rekey;
  return rekey.updateId === undefined ? undefined : { ...rekey, theirs: undefined };
}

/** The state of an association that was handed over, as small as one of our own. */
export function taken(state: HandedState): HandedState {
  if (state.name === "CLOSED") return { ...state, agreement: atRest(state.agreement) };
  const { session } = state;
  const { rekey } = session;
  const keyed = rekey?.keyed === undefined ? undefined : atRest(rekey.keyed);
  return {
    ...state,
    session: {
      ...session,
      agreement: atRest(session.agreement),
      rekey: rekey === undefined ? undefined : { ...rekey, keyed },
    },
  };
}

/** The inbound SAs of an association that was handed over. */
export function inboundOf(state: HandedState): readonly InboundSpis[] {
  if (state.name === "CLOSED") return [];
  return state.name === "CLOSING" ? [state.session.inbound] : spisOf(state.session).inbound;
}

/** Every SPI of a session, as the data plane has it. */
export function spisOf(session: Session): {
  readonly inbound: readonly InboundSpis[];
  readonly outbound: readonly Spi[];
} {
  const { rekey, former } = session;
  const begun = rekey?.keyed?.peerSpi;
  return {
    inbound: [
      session.inbound,
      ...(rekey === undefined || begun === undefined ? [] : [rekey.inbound]),
      ...former.map(({ inbound }) => ({ spi: inbound, lsiSpi: undefined })),
    ],
    outbound: [
      session.outbound,
      ...(begun === undefined ? [] : [begun]),
      ...former.map(({ outbound }) => outbound),
    ],
  };
}
