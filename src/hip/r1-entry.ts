/** R1s that were given out, as long as an I2 may answer them (RFC 7401 6.7.1), and how they go to another process. */
import type { Hit, Instant } from "../core/types.ts";
import type { DhPair } from "./job.ts";
import { Solutions } from "./solutions.ts";

/** #I values of one R1: which one an Initiator gets depends on its HIT and address. A power of two. */
export const PUZZLES_PER_R1 = 64;
/** R1s that are handed over, and the solutions that they may have in all: 4 KB (12 KB where I2s were forged) and 0.1 KB each. */
const MAX_HANDED_R1S = 256;
const MAX_HANDED_SOLUTIONS = 16_384;

export interface R1Entry {
  readonly opaque: number;
  readonly localHit: Hit;
  readonly r1: Uint8Array;
  readonly dh: DhPair;
  readonly hostId: Uint8Array;
  readonly k: number;
  readonly counter: Uint8Array | undefined;
  /** Where the contents of PUZZLE begin. */
  readonly puzzleAt: number | undefined;
  /** One behind the other. */
  readonly puzzles: Uint8Array;
  readonly madeAt: Instant;
  retiredAt: Instant | undefined;
  readonly solutions: Solutions;
}

/** One that is not offered any more: the R1 itself is not needed. */
export interface HandedR1
  extends Pick<R1Entry, "opaque" | "localHit" | "dh" | "hostId" | "k" | "counter" | "puzzles" | "madeAt"> {
  readonly retiredAt: Instant | undefined;
  readonly used: readonly string[];
  readonly forged: Uint8Array;
}

/** What a successor needs to take I2s that answer R1s of its predecessor, and none of them twice. Holds keys. */
export interface HandedR1s {
  readonly secret: readonly number[];
  /** The counter after the newest R1. */
  readonly generation: bigint;
  readonly r1s: readonly HandedR1[];
}

/** Those that were offered last, as many as there is room for. One without its solutions is none: it could be replayed. */
export function handedR1s(entries: Iterable<R1Entry>): readonly HandedR1[] {
  const handed: HandedR1[] = [];
  let solutions = 0;
  const end = ({ retiredAt }: R1Entry): number => retiredAt ?? Number.MAX_VALUE;
  for (const entry of [...entries].sort((a, b) => end(b) - end(a))) {
    if (handed.length === MAX_HANDED_R1S || solutions + entry.solutions.usedSize > MAX_HANDED_SOLUTIONS)
      break;
    solutions += entry.solutions.usedSize;
    const { opaque, localHit, dh, hostId, k, counter, madeAt, retiredAt, puzzles } = entry;
    const spent = entry.solutions.handed();
    handed.push({ opaque, localHit, dh, hostId, k, counter, madeAt, retiredAt, puzzles, ...spent });
  }
  return handed.reverse();
}

/** It is never offered again: `now` is when that ended. */
export function takenR1({ used, forged, ...handed }: HandedR1, now: Instant): R1Entry {
  return {
    ...handed,
    r1: NONE,
    puzzleAt: undefined,
    retiredAt: handed.retiredAt ?? now,
    solutions: new Solutions(used, forged),
  };
}

const NONE = new Uint8Array(0);

/** The #I at this place, below `PUZZLES_PER_R1`. */
export function puzzleOf({ puzzles }: Pick<R1Entry, "puzzles">, place: number): Uint8Array {
  const size = puzzles.length / PUZZLES_PER_R1;
  return puzzles.subarray(place * size, (place + 1) * size);
}
