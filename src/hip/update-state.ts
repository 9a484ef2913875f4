/** Update IDs on both sides of an association (RFC 7401 6.11, 6.12): plain values, compared in a circular space. */
import type { Path } from "../core/types.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import type { Retransmit } from "./retransmit.ts";

/** UPDATEs that may wait for an ACK at once. */
export const MAX_OUTSTANDING = 16;
/** So many of the peer's Update IDs that were processed are remembered one by one. */
export const REMEMBERED = 64;
/**
 * How far ahead of the expected Update ID, or behind it, a received one may be: each question along a path that lets nothing
 * through takes one that the peer never hears of, and there may be many such paths for long before the next UPDATE arrives.
 */
export const REACH = 2 ** 16;

/**
 * A copy of an UPDATE costs a signature check, and when it is acknowledged again a signature: in the long run one is paid
 * off in this time, and so many may be owed. A host that has no answer repeats itself ever more slowly: it owes no more.
 */
const COPY_MILLIS = 1_000;
const MAX_COPIES_OWED = 3;

export interface Outstanding {
  readonly id: number;
  readonly parameters: readonly DraftParameter[];
  /** Those that travel inside ENCRYPTED. */
  readonly secret: readonly DraftParameter[];
  /** Those that stand behind the signature. */
  readonly unsigned: readonly DraftParameter[];
  /** An address check goes along this path; undefined: along the one in use. */
  readonly via: Path | undefined;
  /** Undefined while it is being signed. */
  readonly bytes: Uint8Array | undefined;
  /** It was changed while it was being signed: what comes of that is not repeated. */
  readonly outdated: boolean;
  /** The peer has it, and has not answered what it asks: it is not repeated, but asked anew (RFC 7401 6.12.2 step 4). */
  readonly acknowledged: boolean;
  readonly retransmit: Retransmit;
}

export interface Updates {
  /** Our next Update ID; the first is 0. */
  readonly nextId: number;
  readonly outstanding: readonly Outstanding[];
  /** The peer's next expected Update ID. */
  readonly expected: number;
  /** The peer's Update IDs that were processed lately, newest last. */
  readonly processed: readonly number[];
  /** The newest that is no longer among them: whatever came after it and is not among them was never processed. */
  readonly forgotten: number | undefined;
  /** Until when what repeated UPDATEs have cost is paid off: see `paid`. */
  readonly paidUntil: number;
  /** The one that was dropped last though it is the peer's, and the same for its copies. */
  readonly refused: { readonly id: number; readonly paidUntil: number } | undefined;
  /** Our answer to the last one, so that a repeated UPDATE costs no signature, and when it may be sent again. */
  readonly lastAnswer:
    | { readonly id: number; readonly bytes: Uint8Array; readonly againAt: number }
    | undefined;
}

export const NO_UPDATES: Updates = {
  nextId: 0,
  outstanding: [],
  expected: 0,
  processed: [],
  forgotten: undefined,
  paidUntil: Number.NEGATIVE_INFINITY,
  refused: undefined,
  lastAnswer: undefined,
};

/** The UPDATE of ours with this ID, while it waits for its ACK or its echo. */
export function outstandingAt({ outstanding }: Updates, id: number | undefined): Outstanding | undefined {
  return outstanding.find((one) => one.id === id);
}

export type Reception = "new" | "repeated" | "outside";

/** How a received Update ID stands to what was processed (RFC 7401 6.12.1 steps 1 and 2). */
export function reception({ expected, processed, forgotten }: Updates, id: number): Reception {
  const ahead = (id - expected) | 0;
  if (ahead >= REACH || ahead < -REACH) return "outside";
  if (processed.includes(id)) return "repeated";
  if (ahead >= 0) return "new";
  // Before the first UPDATE nothing lies behind the window's start.
  if (processed.length === 0) return "outside";
  return forgotten === undefined || isOlder(forgotten, id) ? "new" : "outside";
}

/** Whether an Update ID was given before another one. */
export function isOlder(id: number, than: number): boolean {
  return ((id - than) | 0) < 0;
}

/** Records the Update ID for replay protection (step 5). */
export function recorded(updates: Updates, id: number): Updates {
  const ahead = (id - updates.expected) | 0;
  const processed = [...updates.processed, id];
  const gone = processed.splice(0, processed.length - REMEMBERED);
  return {
    ...updates,
    expected: ahead >= 0 ? (id + 1) >>> 0 : updates.expected,
    processed,
    forgotten: gone.reduce(newest, updates.forgotten),
  };
}

function newest(one: number | undefined, other: number): number {
  return one === undefined || isOlder(one, other) ? other : one;
}

/** The peer's UPDATE was dropped: it may come again and be taken. Each copy costs what it did, whoever sends it. */
export function withRefused(updates: Updates, id: number): Updates {
  if (updates.refused?.id === id) return updates;
  return { ...updates, refused: { id, paidUntil: Number.NEGATIVE_INFINITY } };
}

/** Until when all is paid off after one more copy; undefined: too much is owed for it. */
export function paid(until: number, now: number): number | undefined {
  const later = Math.max(until, now) + COPY_MILLIS;
  return later > now + MAX_COPIES_OWED * COPY_MILLIS ? undefined : later;
}

/** As if the peer's UPDATE had not been recorded: it will come again. */
export function unrecorded(updates: Updates, id: number): Updates {
  return {
    ...withRefused(updates, id),
    processed: updates.processed.filter((one) => one !== id),
    expected: updates.expected === (id + 1) >>> 0 ? id : updates.expected,
  };
}

/** Without those that `ids` acknowledge; `acknowledged` says whether there was any (6.12.2 step 1). */
export function withoutAcknowledged(
  updates: Updates,
  ids: readonly number[],
): { readonly updates: Updates; readonly acknowledged: readonly Outstanding[] } {
  const now = (one: Outstanding): boolean => ids.includes(one.id) && !one.acknowledged;
  const acknowledged = updates.outstanding.filter(now);
  const outstanding = updates.outstanding.filter((one) => !now(one));
  return { updates: { ...updates, outstanding }, acknowledged };
}
