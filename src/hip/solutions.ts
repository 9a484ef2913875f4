/**
 * What the solutions of one R1 have bought. Each is good for one association, whose keys must never be made twice
 * (RFC 7401 4.1.2), and pays for a few forged I2s until then (4.1.1, 6.9 step 16).
 */
import type { HipDrop } from "./drop-reasons.ts";

/** Solutions that may be used on one R1; beyond that it answers no more. */
const MAX_USED = 4_096;
/**
 * Forged I2s that a solution may come with. Whoever hears an I2 can send another one with its solution: the first of
 * those must not keep the honest one out.
 */
export const MAX_FORGED_I2S = 4;
/** Counters of forged I2s: four for each solution that fills one, so that 32,768 are computed for one R1 at most. */
const FORGED_COUNTERS = 8_192;

const NONE = new Uint8Array(0);

export class Solutions {
  readonly #used: Set<string>;
  /**
   * By a hash of the solution, so that forgers take no place from others and nothing is forgotten: who shares a counter
   * that strangers have filled needs another solution. Nobody can aim at a #J that he does not know.
   */
  #forged: Uint8Array;

  constructor(used: Iterable<string> = [], forged: Uint8Array = NONE) {
    this.#used = new Set(used);
    this.#forged = forged;
  }

  /** Why an I2 with this solution is not looked at. */
  refusal(solution: string): HipDrop | undefined {
    if (this.#used.has(solution)) return "i2_replayed";
    if ((this.#forged[counterOf(solution)] ?? 0) >= MAX_FORGED_I2S) return "solution_forged";
    return this.#used.size >= MAX_USED ? "r1_exhausted" : undefined;
  }

  /** It never counts again. False when it was used before. */
  use(solution: string): boolean {
    if (this.#used.has(solution)) return false;
    this.#used.add(solution);
    return true;
  }

  /** The I2 that it was used for has come to nothing, and its keys were never in use. */
  release(solution: string): void {
    this.#used.delete(solution);
  }

  /** It came with a forged I2. */
  forged(solution: string): void {
    if (this.#forged.length === 0) this.#forged = new Uint8Array(FORGED_COUNTERS);
    const at = counterOf(solution);
    this.#forged[at] = Math.min(MAX_FORGED_I2S, (this.#forged[at] as number) + 1);
  }

  /** Whether anything was bought: its R1 should be replaced soon. */
  get any(): boolean {
    return this.#used.size > 0 || this.#forged.length > 0;
  }

  get usedSize(): number {
    return this.#used.size;
  }

  /** For a successor in another process. */
  handed(): { readonly used: readonly string[]; readonly forged: Uint8Array } {
    return { used: [...this.#used], forged: this.#forged };
  }
}

/** FNV-1a. */
function counterOf(solution: string): number {
  let mixed = 0x811c9dc5;
  for (let at = 0; at < solution.length; at++) mixed = Math.imul(mixed ^ solution.charCodeAt(at), 0x01000193);
  return ((mixed >>> 16) ^ mixed) & (FORGED_COUNTERS - 1);
}
