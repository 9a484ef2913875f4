/** Many peers are to be called, a bounded number at once. */
import { after, type Deadline, earliest, type Hit, type Instant } from "../core/types.ts";

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
  /** Those that are to be called at a certain time, in the order of that. */
  readonly #due = new Map<Hit, Instant>();

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

  /** The same, at that time. Later calls name later times. */
  addAt(peer: Hit, at: Instant): void {
    if (!this.#due.has(peer)) this.#due.set(peer, at);
  }

  /** An answer came, or the call is pointless now. */
  done(peer: Hit, now: Instant): void {
    this.#queue.delete(peer);
    this.#due.delete(peer);
    if (this.#calling.delete(peer)) this.tick(now);
  }

  clear(): void {
    this.#queue.clear();
    this.#due.clear();
    this.#calling.clear();
  }

  deadline(): Deadline | undefined {
    const next = this.#due.values().next();
    const due = next.done ? undefined : { at: next.value, why: this.#why };
    if (this.#queue.size === 0) return due;
    const oldest = this.#calling.values().next();
    return earliest(due, oldest.done ? undefined : { at: oldest.value, why: this.#why });
  }

  tick(now: Instant): void {
    for (const [peer, at] of this.#due) {
      if (at > now) break;
      this.#due.delete(peer);
      if (!this.#calling.has(peer)) this.#queue.add(peer);
    }
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
