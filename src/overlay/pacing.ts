/** Many peers are to be called, a bounded number at once. */
import { after, type Deadline, type Hit, type Instant } from "../core/types.ts";

export interface Pace {
  /** Calls that may wait for their answer at once. */
  readonly atOnce: number;
  /** A call that was not answered in this time makes room for the next one, in milliseconds. */
  readonly patience: number;
}

/** Each peer is called once, in order. There are never more of them than peers. */
export class PacedCalls {
  readonly #pace: Pace;
  readonly #why: string;
  readonly #call: (peer: Hit) => void;
  readonly #queue = new Set<Hit>();
  readonly #calling = new Map<Hit, Instant>();

  constructor(why: string, pace: Pace, call: (peer: Hit) => void) {
    this.#why = why;
    this.#pace = pace;
    this.#call = call;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  add(peers: Iterable<Hit>, now: Instant): void {
    for (const peer of peers) if (!this.#calling.has(peer)) this.#queue.add(peer);
    this.tick(now);
  }

  /** The same, when what happens now is over: see `deadline`. */
  addSoon(peer: Hit): void {
    if (!this.#calling.has(peer)) this.#queue.add(peer);
  }

  /** An answer came, or the call is pointless now. */
  done(peer: Hit, now: Instant): void {
    this.#queue.delete(peer);
    if (this.#calling.delete(peer)) this.tick(now);
  }

  clear(): void {
    this.#queue.clear();
    this.#calling.clear();
  }

  deadline(): Deadline | undefined {
    if (this.#queue.size === 0) return undefined;
    if (this.#calling.size < this.#pace.atOnce) return { at: 0 as Instant, why: this.#why };
    const oldest = this.#calling.values().next();
    return oldest.done ? undefined : { at: oldest.value, why: this.#why };
  }

  tick(now: Instant): void {
    for (const [peer, until] of this.#calling) {
      // In the order of their ends.
      if (until > now) break;
      this.#calling.delete(peer);
    }
    for (const peer of this.#queue) {
      if (this.#calling.size >= this.#pace.atOnce) return;
      this.#queue.delete(peer);
      this.#calling.set(peer, after(now, this.#pace.patience));
      this.#call(peer);
    }
  }
}
