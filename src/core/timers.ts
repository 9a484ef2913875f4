/** Many deadlines, one earliest: a binary heap in which an outdated entry is skipped when it surfaces. */
import type { Deadline, Instant } from "./types.ts";

interface Entry<K> {
  readonly at: Instant;
  readonly why: string;
  readonly key: K;
}

export class Timers<K> {
  readonly #current = new Map<K, Entry<K>>();
  #heap: Entry<K>[] = [];

  /** Replaces the deadline of `key`; undefined removes it. */
  set(key: K, deadline: Deadline | undefined): void {
    const before = this.#current.get(key);
    if (deadline === undefined) {
      this.#current.delete(key);
    } else if (before?.at !== deadline.at || before.why !== deadline.why) {
      const entry = { at: deadline.at, why: deadline.why, key };
      this.#current.set(key, entry);
      this.#push(entry);
    }
    // Outdated entries may outnumber live ones by a factor only.
    if (this.#heap.length > 64 && this.#heap.length > 4 * this.#current.size) this.#rebuild();
  }

  earliest(): Deadline | undefined {
    this.#dropOutdated();
    return this.#heap[0];
  }

  /** Takes one key whose deadline has come. */
  due(now: Instant): K | undefined {
    this.#dropOutdated();
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return undefined;
    this.#pop();
    this.#current.delete(first.key);
    return first.key;
  }

  get size(): number {
    return this.#current.size;
  }

  #dropOutdated(): void {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (this.#current.get(first.key) === first) return;
      this.#pop();
    }
  }

  #rebuild(): void {
    this.#heap = [];
    for (const entry of this.#current.values()) this.#push(entry);
  }

  #push(entry: Entry<K>): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Entry<K>;
      if (above.at <= entry.at) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && right.at < (heap[child] as Entry<K>).at) child++;
      const below = heap[child] as Entry<K>;
      if (below.at >= last.at) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }
}
