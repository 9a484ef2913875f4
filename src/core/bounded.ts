/** Containers that cannot grow without limit and count what they refuse. */

/** A map with a named limit. A new key beyond it is refused, or pushes out the oldest entry. */
export class BoundedMap<K, V> {
  readonly name: string;
  readonly limit: number;
  /** Entries refused or pushed out so far. */
  overflows = 0;
  readonly #entries = new Map<K, V>();
  readonly #whenFull: "refuse" | "evict-oldest";

  constructor(name: string, limit: number, whenFull: "refuse" | "evict-oldest") {
    this.name = name;
    this.limit = limit;
    this.#whenFull = whenFull;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  has(key: K): boolean {
    return this.#entries.has(key);
  }

  /** False when the map is full and refuses. */
  set(key: K, value: V): boolean {
    if (!this.#entries.has(key) && this.#entries.size >= this.limit) {
      this.overflows++;
      if (this.#whenFull === "refuse") return false;
      const oldest = this.#entries.keys().next();
      if (!oldest.done) this.#entries.delete(oldest.value);
    }
    this.#entries.set(key, value);
    return true;
  }

  delete(key: K): boolean {
    return this.#entries.delete(key);
  }

  /** Deletes all that fit; true when there were any. */
  deleteWhere(fits: (value: V) => boolean): boolean {
    const before = this.#entries.size;
    for (const [key, value] of this.#entries) if (fits(value)) this.#entries.delete(key);
    return this.#entries.size < before;
  }

  clear(): void {
    this.#entries.clear();
  }

  keys(): IterableIterator<K> {
    return this.#entries.keys();
  }

  values(): IterableIterator<V> {
    return this.#entries.values();
  }

  entries(): IterableIterator<[K, V]> {
    return this.#entries.entries();
  }
}

/** A token bucket: `rate` per second on average, at most `burst` at once. */
export class RateLimit {
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #at: number | undefined;
  /** Refusals so far. */
  refusals = 0;

  constructor(rate: number, burst: number) {
    this.#rate = rate;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Takes one token at time `now` (milliseconds); false when there is none. */
  take(now: number): boolean {
    if (this.#at !== undefined) {
      this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#rate);
    }
    this.#at = now;
    if (this.#tokens < 1) {
      this.refusals++;
      return false;
    }
    this.#tokens--;
    return true;
  }
}
