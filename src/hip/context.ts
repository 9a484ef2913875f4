/** What a handler of the state machine may see and ask for besides its state and its packet. */
import type { Random } from "../core/random.ts";
import type { Endpoint, Hit, Instant, Path, Spi } from "../core/types.ts";
import type { Packet } from "../wire/packet.ts";
import type { HostConfig } from "./config.ts";
import type { HipDrop } from "./drop-reasons.ts";
import type { EventDetail, EventName } from "./event-catalogue.ts";
import type { HostEvent, HostOutput, PeerPolicy } from "./io.ts";
import type {
  AcceptI2,
  AcceptR2,
  Agreement,
  AnswerR1,
  JobRefused,
  MakeDh,
  RekeyJob,
  SealPacket,
  VerifyPacket,
} from "./job.ts";
import type { OwnLocator } from "./locator.ts";
import type { R1Match } from "./r1-pool.ts";
import type { InboundSpis, State } from "./states.ts";

/** A packet with the path that it came along. */
export interface Received {
  readonly packet: Packet;
  readonly path: Path;
}

/** What is remembered of a job while it runs; the association stays in its state meanwhile. */
export type Pending =
  | {
      readonly kind: "answer-r1";
      readonly path: Path;
      /** Where we called, if the R1 came from elsewhere and its source is tried first. */
      readonly called: Path;
      /** The relay that an R1 over UDP came through: no I2 may (RFC 9028 4.7.2). */
      readonly relay: Endpoint | undefined;
      readonly inbound: InboundSpis;
      readonly startedAt: Instant;
      /** When the puzzle's lifetime ends (RFC 7401 6.8 step 12). */
      readonly until: Instant;
    }
  | {
      readonly kind: "accept-i2";
      readonly received: Received;
      readonly inbound: InboundSpis;
      readonly startedAt: Instant;
      readonly match: R1Match;
    }
  | { readonly kind: "accept-r2"; readonly path: Path }
  | { readonly kind: "verify"; readonly received: Received }
  | { readonly kind: "make-dh" }
  | { readonly kind: "rekey"; readonly path: Path }
  | { readonly kind: "seal"; readonly sealed: Sealed; readonly path: Path };

/** What a packet that is being signed is for. */
export type Sealed =
  | { readonly what: "close"; readonly echo: Uint8Array }
  | { readonly what: "close-ack"; readonly echo: Uint8Array }
  | { readonly what: "update"; readonly id: number | undefined; readonly answers: number | undefined }
  | { readonly what: "keepalive" }
  | { readonly what: "notify"; readonly limit: number };

export type AssociationJob = AnswerR1 | AcceptI2 | AcceptR2 | VerifyPacket | SealPacket | MakeDh | RekeyJob;

export interface Context {
  readonly now: Instant;
  readonly local: Hit;
  readonly peer: Hit;
  /** Undefined when the peer is not configured (any more). */
  readonly policy: PeerPolicy | undefined;
  readonly config: HostConfig;
  readonly random: Random;
  /** Where we can be reached, best first; undefined while nobody has told. */
  readonly own: readonly OwnLocator[] | undefined;
  /** Whether a job of this kind runs for this association. */
  busy(kind: Pending["kind"]): boolean;
  /** Starts a job, or reports that there are too many. Its output is queued. */
  start(job: AssociationJob, pending: Pending): boolean;
  /** Lets a running job end without effect. */
  abandon(kind: Pending["kind"]): void;
  /** Whether the peer, proven by now, may talk: it is configured, or opportunistic mode lets it in (RFC 7401 4.1.8). */
  admit(path: Path): boolean;
  /** Sends one CLOSE to a peer that will not be remembered. */
  farewell(agreement: Agreement, path: Path): void;
  /** Two fresh inbound SPIs. */
  newInbound(): InboundSpis;
  /** Jobs of this kind that run for this association. */
  running(kind: Pending["kind"]): number;
  /** Answers an I1 statelessly (RFC 7401 6.7). */
  answerI1(received: Received): readonly HostOutput[];
  /** Checks the puzzle of an I2. */
  matchI2(received: Received): R1Match | { readonly drop: HipDrop; readonly out: readonly HostOutput[] };
  /** The I2 of this match was accepted; false when its solution was accepted before. */
  usedI2(match: R1Match): boolean;
  /** Its solution was right and its sender an impostor: after some of them that solution counts no more, and puzzles get harder. */
  forgedI2(match: R1Match): void;
  /**
   * Tells the peer about an error, within the limits of RFC 7401 5.2.19; `limit` is the size of what it answers. Under the
   * association's keys, or those of `agreement`.
   */
  notify(
    messageType: number,
    data: Uint8Array,
    path: Path,
    limit: number,
    agreement?: Agreement,
  ): readonly HostOutput[];
  /** Whether a packet that only hints at something may make us call its peer now: hints are few. */
  mayFollowHint(): boolean;
  /** Whether an UPDATE may go out now that nothing waits for; else some seconds later. */
  maySpare(): boolean;
}

/** What a handler decides: the next state and what happens outside. */
export interface Step {
  readonly next: State;
  readonly out: readonly HostOutput[];
}

export function step(next: State, ...out: readonly (HostOutput | readonly HostOutput[])[]): Step {
  return { next, out: out.flat() as readonly HostOutput[] };
}

export function drop(reason: HipDrop): HostOutput {
  return { type: "drop", reason };
}

export function event<N extends EventName>(
  cx: Pick<Context, "local" | "peer">,
  name: N,
  detail: EventDetail<N>,
): HostOutput {
  return { type: "event", name, local: cx.local, peer: cx.peer, detail: detail as HostEvent["detail"] };
}

export function send(path: Path, bytes: Uint8Array): HostOutput {
  return { type: "send", path, bytes };
}

/** The NOTIFY about a packet that its job refused, of at most `limit` bytes, where there is one for that reason (RFC 7401 5.2.19). */
export function whyRefused(
  { notify }: JobRefused,
  path: Path,
  cx: Pick<Context, "notify">,
  limit = Number.POSITIVE_INFINITY,
): readonly HostOutput[] {
  return notify === undefined ? [] : cx.notify(notify.messageType, notify.data, path, limit);
}

/** Drops the inbound SA and, where there is one, the outbound SA. */
export function dropSas(cx: Pick<Context, "peer">, inbound: Spi, outbound?: Spi): readonly HostOutput[] {
  const out: HostOutput[] = [{ type: "sa-drop", spi: inbound, direction: "in", peer: cx.peer }];
  if (outbound !== undefined) out.push({ type: "sa-drop", spi: outbound, direction: "out", peer: cx.peer });
  return out;
}
