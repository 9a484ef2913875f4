/** Retransmission with exponential back-off and jitter (RFC 7401 6.6, 6.8, 6.11). */
import { fraction, type Random } from "../core/random.ts";
import { after, type Instant } from "../core/types.ts";
import type { Timers } from "./config.ts";

/** How often something was sent, and when it is due again. */
export interface Retransmit {
  readonly tries: number;
  readonly interval: number;
  readonly due: Instant;
}

/** Jitter of a quarter either way keeps peers that failed together from retrying together. */
const JITTER = 0.25;

export function sentOnce(timers: Timers, now: Instant, random: Random): Retransmit {
  return { tries: 1, interval: timers.retransmit, due: after(now, jittered(timers.retransmit, random)) };
}

export function sentAgain(before: Retransmit, max: number, now: Instant, random: Random): Retransmit {
  const interval = Math.min(before.interval * 2, max);
  return { tries: before.tries + 1, interval, due: after(now, jittered(interval, random)) };
}

/** Sent once more, out of turn: its answer has as long as that of the last one had. */
export function sentBesides(before: Retransmit, now: Instant, random: Random): Retransmit {
  const due = Math.max(before.due, after(now, jittered(before.interval, random))) as Instant;
  return { ...before, tries: before.tries + 1, due };
}

/** It was not sent last before this. */
export function sentAtEarliest({ interval, due }: Retransmit): Instant {
  return after(due, -interval * (1 + JITTER));
}

function jittered(interval: number, random: Random): number {
  return Math.round(interval * (1 - JITTER + 2 * JITTER * fraction(random)));
}
