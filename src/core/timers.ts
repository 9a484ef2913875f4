/** Many deadlines, one earliest: a binary heap in which each entry knows its place, so that one that changes moves. */
import type { Deadline, Instant } from "./types.ts";

interface Entry<K> {
  at: Instant;
  why: string;
  readonly key: K;
  /** In the heap. */
  place: number;
}

export class Timers<K> {
  readonly #entries = new Map<K, Entry<K>>();
  readonly #heap: Entry<K>[] = [];

  /** Replaces the deadline of `key`; undefined removes it. */
  set(key: K, deadline: Deadline | undefined): void {
    const entry = this.#entries.get(key);
    if (deadline === undefined) {
      if (entry !== undefined) this.#remove(entry);
      return;
    }
    // As wholeMillis(), but never early.
    const at = Math.ceil(deadline.at) as Instant;
    const { why } = deadline;
    if (entry === undefined) {
      const fresh = { at, why, key, place: this.#heap.length };
      this.#entries.set(key, fresh);
      this.#up(fresh);
      return;
    }
    entry.why = why;
    if (entry.at === at) return;
    const sooner = at < entry.at;
    entry.at = at;
    if (sooner) this.#up(entry);
    else this.#down(entry);
  }

  /** As it is now: it does not change with its key. */
  earliest(): Deadline | undefined {
    const first = this.#heap[0];
    return first === undefined ? undefined : { at: first.at, why: first.why };
  }

  /** Takes one key whose deadline has come. */
  due(now: Instant): K | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return undefined;
    this.#remove(first);
    return first.key;
  }

  get size(): number {
    return this.#entries.size;
  }

  #remove(entry: Entry<K>): void {
    this.#entries.delete(entry.key);
    const last = this.#heap.pop() as Entry<K>;
    if (last === entry) return;
    last.place = entry.place;
    // It comes from another branch: it may belong above as well as below.
    this.#up(last);
    this.#down(last);
  }

  /** Moves an entry, from its place, towards the top as far as it is earlier. */
  #up(entry: Entry<K>): void {
    const heap = this.#heap;
    while (entry.place > 0) {
      const above = heap[(entry.place - 1) >> 1] as Entry<K>;
      if (above.at <= entry.at) break;
      const place = above.place;
      this.#put(above, entry.place);
      entry.place = place;
    }
    this.#put(entry, entry.place);
  }

  #down(entry: Entry<K>): void {
    const heap = this.#heap;
    for (;;) {
      const left = heap[2 * entry.place + 1];
      const right = heap[2 * entry.place + 2];
      const below = right !== undefined && left !== undefined && right.at < left.at ? right : left;
      if (below === undefined || below.at >= entry.at) break;
      const place = below.place;
      this.#put(below, entry.place);
      entry.place = place;
    }
    this.#put(entry, entry.place);
  }

  #put(entry: Entry<K>, place: number): void {
    this.#heap[place] = entry;
    entry.place = place;
  }
}
