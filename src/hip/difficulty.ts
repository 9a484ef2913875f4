/** Puzzle difficulty that rises with load and falls again (RFC 7401 4.1.1, Appendix A). */
import type { Instant } from "../core/types.ts";
import type { PuzzlePolicy } from "./config.ts";

/** Bits added while solved puzzles come to nothing: the crypto queue is full, or what they came with is forged. */
const BUSY_BITS = 4;
/** So many forged ones in a window are worth these bits; each doubling beyond adds one. */
const FORGED = 16;
const WINDOW_MILLIS = 1_000;

/**
 * Counts I1s in windows of a second. K rises at once with the rate and falls by one bit a second, so that it does not
 * swing; R1s are signed with their K, so that it changes at most once a second.
 */
export class Difficulty {
  readonly #policy: PuzzlePolicy;
  #k: number;
  #windowStart: number | undefined;
  #count = 0;
  #busy = false;
  #forged = 0;

  constructor(policy: PuzzlePolicy) {
    this.#policy = policy;
    this.#k = policy.idleK;
  }

  get k(): number {
    return this.#k;
  }

  exchange(now: Instant): void {
    this.#advance(now);
    this.#count++;
  }

  /** The crypto queue was full. Counts once in a window: the same I2 may come again and again. */
  busy(now: Instant): void {
    this.#advance(now);
    this.#busy = true;
  }

  /** An I2 with a right solution cost a Diffie-Hellman computation, and was forged. */
  forged(now: Instant): void {
    this.#advance(now);
    this.#forged++;
  }

  /** K at this moment. */
  at(now: Instant): number {
    this.#advance(now);
    return this.#k;
  }

  #advance(now: Instant): void {
    if (this.#windowStart === undefined) this.#windowStart = now;
    const windows = Math.floor((now - this.#windowStart) / WINDOW_MILLIS);
    if (windows === 0) return;
    const { idleK, loadedK, easyRate } = this.#policy;
    const wasted = this.#busy || this.#forged > 0 ? BUSY_BITS : 0;
    const wanted = idleK + doublings(this.#count, easyRate) + wasted + doublings(this.#forged, FORGED);
    this.#k = Math.min(loadedK, Math.max(wanted, this.#k - 1));
    // Idle windows that passed unseen let it fall further.
    this.#k = Math.max(idleK, this.#k - (windows - 1));
    this.#windowStart += windows * WINDOW_MILLIS;
    this.#count = 0;
    this.#busy = false;
    this.#forged = 0;
  }
}

/** How often `from` must be doubled to reach `count`. */
function doublings(count: number, from: number): number {
  return count > from ? Math.ceil(Math.log2(count / from)) : 0;
}
