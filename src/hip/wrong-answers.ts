/**
 * Who answers puzzles wrongly. No honest Initiator ever sends a wrong #J (RFC 7401 4.1.2, 6.8 step 12), and whoever echoes the
 * #I of an address has heard an R1 there, or has guessed one of the few that an R1 has: then most of the guesses are wrong,
 * and nobody is to be blamed for them but the guesser, who is somewhere else.
 */
import { BoundedMap } from "../core/bounded.ts";
import type { Instant } from "../core/types.ts";

/** Wrong solutions of one address in a window that are nothing to wonder about: packets are damaged, too. */
const WRONG_AT_MOST = 8;
const WINDOW_MILLIS = 1_000;
const MAX_ADDRESSES = 1_024;
/** For how long the data plane hears little of what begins there. Each further wrong solution begins it anew. */
export const SHUN_MILLIS = 1_000;

interface Window {
  readonly since: Instant;
  /** Wrong solutions of the right puzzle, less those of others. */
  wrong: number;
}

export class WrongAnswers {
  readonly #windows = new BoundedMap<string, Window>("wrong_answers", MAX_ADDRESSES, "evict-oldest");

  /** A wrong solution of its own puzzle came from `address`: whether that is one too many. */
  tooMany(address: string, now: Instant): boolean {
    return ++this.#window(address, now).wrong > WRONG_AT_MOST;
  }

  /** The solution of a puzzle that was not set for `address` came from there. */
  guessed(address: string, now: Instant): void {
    this.#window(address, now).wrong--;
  }

  #window(address: string, now: Instant): Window {
    const known = this.#windows.get(address);
    if (known !== undefined && now - known.since < WINDOW_MILLIS) return known;
    const fresh: Window = { since: now, wrong: 0 };
    this.#windows.set(address, fresh);
    return fresh;
  }
}
