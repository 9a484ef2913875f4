/** The puzzle: the K low-order bits of RHASH(I | HIT-I | HIT-R | J) are zero (RFC 7401 4.1.2, 6.3). */
import { concat } from "../core/bytes.ts";
import { hitBytes } from "../core/ip.ts";
import type { Hit } from "../core/types.ts";
import { rhashText } from "./rhash.ts";
import { type Rhash, rhashLength } from "./suites.ts";

export interface Puzzle {
  /** That of the Responder's HIT suite. */
  readonly rhash: Rhash;
  readonly i: Uint8Array;
  readonly hitI: Hit;
  readonly hitR: Hit;
  /** Bits to be zero. 0: every J solves it. */
  readonly k: number;
}

export interface PuzzleSearch extends Puzzle {
  /** The first J to try, random; as long as RHASH's output (longer is cut, shorter gets zeros in front). */
  readonly start: Uint8Array;
  /** Hashes to spend at most. */
  readonly attempts: number;
  /** Milliseconds to spend at most. */
  readonly millis?: number;
}

/** Hashes between two looks at the clock: well below a millisecond's worth. */
const CLOCK_EVERY = 256;

/** A J that solves the puzzle, or undefined when `attempts` or `millis` were not enough (RFC 7401 6.8 step 12). */
export function solve(search: PuzzleSearch): Uint8Array | undefined {
  const size = rhashLength(search.rhash);
  if (search.k > 8 * size || search.i.length !== size) return undefined;
  const j = new Uint8Array(size);
  const start = search.start.subarray(0, size);
  j.set(start, size - start.length);
  const input = hashInput(search, j);
  const tried = input.subarray(input.length - size);
  const end = performance.now() + (search.millis ?? Number.POSITIVE_INFINITY);
  for (let attempt = 0; attempt < search.attempts; attempt++) {
    if (attempt % CLOCK_EVERY === CLOCK_EVERY - 1 && performance.now() > end) return undefined;
    if (lowBitsAreZero(rhashText(search.rhash, input), search.k)) return tried.slice();
    increment(tried);
  }
  return undefined;
}

/** One hash, whatever the input; none when a length is wrong. */
export function puzzleValid(solution: Puzzle & { readonly j: Uint8Array }): boolean {
  const size = rhashLength(solution.rhash);
  if (solution.i.length !== size || solution.j.length !== size || solution.k > 8 * size) return false;
  return lowBitsAreZero(rhashText(solution.rhash, hashInput(solution, solution.j)), solution.k);
}

function hashInput(puzzle: Puzzle, j: Uint8Array): Uint8Array {
  return concat(puzzle.i, hitBytes(puzzle.hitI), hitBytes(puzzle.hitR), j);
}

function lowBitsAreZero(digest: string, k: number): boolean {
  let at = digest.length - 1;
  let bits = k;
  for (; bits >= 8; bits -= 8, at--) if (digest.charCodeAt(at) !== 0) return false;
  return bits <= 0 || (digest.charCodeAt(at) & ((1 << bits) - 1)) === 0;
}

/** The next number, in network byte order, in place. */
function increment(number: Uint8Array): void {
  for (let at = number.length - 1; at >= 0; at--) {
    const next = ((number[at] as number) + 1) & 0xff;
    number[at] = next;
    if (next !== 0) return;
  }
}
