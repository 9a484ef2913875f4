/** The states of RFC 7401 4.4.2, each with exactly the data that it has. */
import type { Instant, Path, Spi } from "../core/types.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import type { Challenge } from "./clone.ts";
import type { Pending } from "./context.ts";
import type { Agreement, DhPair, I2Made } from "./job.ts";
import type { AnnouncedLocator } from "./locator-set.ts";
import type { Mobility } from "./mobility-state.ts";
import type { Retransmit } from "./retransmit.ts";
import type { Updates } from "./update-state.ts";

/** A base exchange that we began: I1s are under way. */
export interface Attempt {
  /** Where the peer may be; `next` is the one that the next retransmission goes to. */
  readonly candidates: readonly Path[];
  readonly next: number;
  readonly retransmit: Retransmit;
  readonly startedAt: Instant;
  /** The list of the I1: the R1 is judged by it (RFC 7401 6.6 step 3). */
  readonly dhGroups: readonly number[];
  readonly opportunistic: boolean;
}

/** Our inbound SPIs, installed before the peer can use them. */
export interface InboundSpis {
  readonly spi: Spi;
  readonly lsiSpi: Spi | undefined;
}

/** An association with keys and a pair of SAs. */
export interface Session {
  readonly agreement: Agreement;
  readonly inbound: InboundSpis;
  readonly outbound: Spi;
  /** The peer's SPI before the last change of keys, which the peer may not have made yet. */
  readonly formerSpi: Spi | undefined;
  readonly path: Path;
  readonly role: "initiator" | "responder";
  /** The peer has sent an I1 since then: it may begin anew. */
  readonly called?: true;
  readonly establishedAt: Instant;
  readonly exchangeMillis: number;
  /** Responder: the I2 that made it and our answer, for an Initiator that lost the R2 (RFC 7401 6.9 step 4). */
  readonly answered: { readonly i2: Uint8Array; readonly r2: Uint8Array } | undefined;
  readonly updates: Updates;
  /** When the ESP keys in use were drawn. */
  readonly keyedAt: Instant;
  readonly rekey: Rekey | undefined;
  readonly mobility: Mobility;
  /** Another host asked for this association with the peer's identity. */
  readonly challenge?: Challenge | undefined;
  /** SAs that were replaced and stay for packets on their way. */
  readonly former: readonly { readonly inbound: Spi; readonly outbound: Spi; readonly until: Instant }[];
}

/** What the peer's UPDATE says about its new inbound SA (RFC 7402 5.3). */
export interface EspOffer {
  readonly keymatIndex: number;
  readonly newSpi: Spi;
  readonly lsiSpi: Spi | undefined;
  readonly dhPublic: Uint8Array | undefined;
  readonly updateId: number;
  /** Answers to the echo requests that came with it, before and behind the signature. */
  readonly echoes: {
    readonly signed: readonly DraftParameter[];
    readonly unsigned: readonly DraftParameter[];
  };
}

/** A rekeying under way, whoever began it. */
export interface Rekey {
  /** Our new inbound SPIs and the KEYMAT Index that we ask for. */
  readonly inbound: InboundSpis;
  readonly keymatIndex: number;
  readonly dh: DhPair | undefined;
  /** Update ID of our UPDATE; undefined while the keys for an answer are drawn. */
  readonly updateId: number | undefined;
  readonly theirs: EspOffer | undefined;
  /** The agreement with the new keys, once their SAs are installed. */
  readonly keyed: Agreement | undefined;
  readonly acknowledged: boolean;
  readonly until: Instant;
}

/** An I2 that was made for an R1. */
export interface AnsweredR1 {
  readonly result: I2Made;
  readonly pending: Extract<Pending, { kind: "answer-r1" }>;
}

export type State =
  | { readonly name: "UNASSOCIATED" }
  | { readonly name: "I1-SENT"; readonly attempt: Attempt }
  | {
      readonly name: "I2-SENT";
      readonly retransmit: Retransmit;
      readonly startedAt: Instant;
      readonly i2: Uint8Array;
      readonly path: Path;
      /** The R1's path, where it preferred another: every other repetition goes there. */
      readonly fallback: Path | undefined;
      readonly inbound: InboundSpis;
      readonly agreement: Agreement;
      /** The Responder's HOST_ID exactly as R1 carried it (RFC 7401 6.4.1). */
      readonly hostId: Uint8Array;
      readonly r1Counter: bigint | undefined;
      readonly puzzleK: number;
      /** What the R1 announced. */
      readonly announced: readonly AnnouncedLocator[];
      readonly dhGroups: readonly number[];
      /** Where our I1s went. */
      readonly candidates: readonly Path[];
      /** For a newer R1 from another place than this I2 goes to: sent when this one stays without an answer. */
      readonly newer: AnsweredR1 | undefined;
    }
  | { readonly name: "R2-SENT"; readonly session: Session; readonly until: Instant }
  | { readonly name: "ESTABLISHED"; readonly session: Session }
  | {
      readonly name: "CLOSING";
      readonly session: Session;
      /** ECHO_REQUEST_SIGNED of our CLOSE. */
      readonly echo: Uint8Array;
      /** Our CLOSE, undefined while it is being signed. */
      readonly close: Uint8Array | undefined;
      readonly retransmit: Retransmit;
      readonly until: Instant;
    }
  | {
      readonly name: "CLOSED";
      readonly agreement: Agreement;
      readonly path: Path;
      /** Of the CLOSE that we sent ourselves, when both sides closed at once. */
      readonly echo: Uint8Array | undefined;
      /** The last CLOSE_ACK, for a CLOSE that is sent again. */
      readonly acknowledged: { readonly echo: Uint8Array; readonly ack: Uint8Array } | undefined;
      readonly until: Instant;
      /** I1s of the next incarnation: Table 8 keeps the state CLOSED while they are under way. */
      readonly attempt: Attempt | undefined;
    }
  | { readonly name: "E-FAILED"; readonly until: Instant; readonly reason: string };

export type StateOf<N extends State["name"]> = Extract<State, { readonly name: N }>;

/** The states in which UPDATEs are exchanged (RFC 7402 6.9). */
export type Open = StateOf<"R2-SENT"> | StateOf<"ESTABLISHED">;

export const UNASSOCIATED: State = { name: "UNASSOCIATED" };

/** The session, in those states that have one whose SAs are installed in both directions. */
export function sessionOf(state: State): Session | undefined {
  return state.name === "R2-SENT" || state.name === "ESTABLISHED" ? state.session : undefined;
}

/** The keys, in those states in which the peer's packets can be authenticated. */
export function agreementOf(state: State): Agreement | undefined {
  switch (state.name) {
    case "I2-SENT":
    case "CLOSED":
      return state.agreement;
    case "R2-SENT":
    case "ESTABLISHED":
    case "CLOSING":
      return state.session.agreement;
    default:
      return undefined;
  }
}
