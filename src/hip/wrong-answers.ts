/**
 * Who answers puzzles wrongly. No honest Initiator ever sends a wrong #J (RFC 7401 4.1.2, 6.8 step 12), and whoever echoes a
 * right #I has heard an R1 at the address that it was made for: such an address is no forgery of somebody else's.
 */
import { BoundedMap, RateLimit } from "../core/bounded.ts";
import type { Instant } from "../core/types.ts";

/** Wrong solutions of one address in a second, and at once, that are nothing to wonder about: packets are damaged, too. */
const WRONG_PER_SECOND = 8;
const MAX_ADDRESSES = 1_024;
/** For how long the data plane hears little of what begins there. Each further wrong solution begins it anew. */
export const SHUN_MILLIS = 1_000;

export class WrongAnswers {
  readonly #limits = new BoundedMap<string, RateLimit>("wrong_answers", MAX_ADDRESSES, "evict-oldest");

  /** Another one came from `address`: whether that is too many. */
  tooMany(address: string, now: Instant): boolean {
    let limit = this.#limits.get(address);
    if (limit === undefined) {
      limit = new RateLimit(WRONG_PER_SECOND, WRONG_PER_SECOND);
      this.#limits.set(address, limit);
    }
    return !limit.take(now);
  }
}
