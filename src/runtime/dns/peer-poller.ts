/** Looks peers up in DNS, again whenever an answer has aged, a few at a time. */
import { formatHit } from "../../core/ip.ts";
import type { Result } from "../../core/types.ts";
import type { DnsFacts, DnsPeer } from "../../overlay/dns-peers.ts";
import type { Found } from "./lookup.ts";

/** Lookups at once. */
export const MAX_LOOKUPS = 4;
/** Peers that are looked up; more are counted and left out. */
export const MAX_DNS_PEERS = 10_000;
/** Addresses, and that there is nothing, are believed for their TTL, but so long at least, in milliseconds: TTLs of 0 are common. */
export const LEAST_AGE = 10_000;
/** From an answer to the next question about its name: names with a TTL of 0 or 1 would take up the lookups that others wait for. */
export const LEAST_PAUSE = 2_000;
/** A HIP record is believed for its TTL (RFC 8005 4.2), but for the exchange that waits for it, and until it may be asked for, at least. */
export const LEAST_RECORD_AGE = LEAST_PAUSE;
export const MOST_AGE = 60 * 60_000;
/** It is asked for again so much before its end, or a fifth of its time: there is another one before it is deleted. */
export const MOST_EARLY = 15_000;
const EARLY_SHARE = 0.2;
/** A lookup that is due when a record ends decides in its place, so long after it was due at most: a cache asks the world only then. */
export const MOST_LATE = 5_000;
/** After a failure: doubled each time. */
const FIRST_RETRY = 5_000;
const LAST_RETRY = 10 * 60_000;

export type LookUp = (name: string) => Promise<Result<Found, string>>;

export interface DnsPeerView {
  readonly peer: string;
  readonly name: string;
  readonly state: "waiting" | "known" | "failed";
  readonly validated: boolean;
  readonly hits: readonly string[];
  readonly addresses: readonly string[];
  /** Why the last lookup failed. */
  readonly error: string | null;
  /** Seconds until the next one. */
  readonly nextSeconds: number;
}

interface Entry {
  readonly peer: string;
  readonly name: string;
  timer: NodeJS.Timeout | undefined;
  /** Ends what is known, whether anybody answers until then or not. */
  expiry: NodeJS.Timeout | undefined;
  nextAt: number;
  /** Since when a lookup waits for its turn or is under way; undefined: none does. */
  dueAt: number | undefined;
  /** What is known has ended, and that lookup decides. */
  ended: boolean;
  failures: number;
  error: string | undefined;
  /** Undefined: nothing is known, or no more. */
  facts: DnsFacts | undefined;
  gone: boolean;
}

export interface DnsPeerCounters {
  readonly lookups: number;
  readonly failures: number;
  readonly expired: number;
  readonly badRecords: number;
  readonly leftOut: number;
}

export class DnsPeerPoller {
  readonly #lookUp: LookUp;
  readonly #tell: (peer: string, facts: DnsFacts) => void;
  readonly #entries = new Map<string, Entry>();
  readonly #queue: Entry[] = [];
  readonly #counters = { lookups: 0, failures: 0, expired: 0, badRecords: 0, leftOut: 0 };
  #running = 0;

  /** `tell` gets what was found, and nothing at all when that has aged and cannot be had again. */
  constructor(lookUp: LookUp, tell: (peer: string, facts: DnsFacts) => void) {
    this.#lookUp = lookUp;
    this.#tell = tell;
  }

  /** These peers, and no others, from now on. Those that were there are not asked for anew. */
  set(peers: readonly DnsPeer[]): void {
    const wanted = new Map(peers.slice(0, MAX_DNS_PEERS).map((one) => [one.peer, one]));
    this.#counters.leftOut += Math.max(0, peers.length - MAX_DNS_PEERS);
    for (const [peer, entry] of this.#entries) if (wanted.get(peer)?.name !== entry.name) this.#forget(entry);
    for (const { peer, name } of wanted.values()) if (!this.#entries.has(peer)) this.#begin(peer, name);
    this.#pump();
  }

  stop(): void {
    for (const entry of this.#entries.values()) this.#forget(entry);
    this.#queue.length = 0;
  }

  counters(): DnsPeerCounters {
    return { ...this.#counters };
  }

  views(now: number = performance.now()): readonly DnsPeerView[] {
    return [...this.#entries.values()].map(({ peer, name, error, facts, nextAt }) => ({
      peer,
      name,
      state: error !== undefined ? "failed" : facts === undefined ? "waiting" : "known",
      validated: facts?.validated ?? false,
      hits: facts?.keys.map(({ hit }) => formatHit(hit)) ?? [],
      addresses: facts?.addresses ?? [],
      error: error ?? null,
      nextSeconds: Math.max(0, Math.round((nextAt - now) / 1000)),
    }));
  }

  #begin(peer: string, name: string): void {
    const entry: Entry = {
      peer,
      name,
      timer: undefined,
      expiry: undefined,
      nextAt: 0,
      dueAt: undefined,
      ended: false,
      failures: 0,
      error: undefined,
      facts: undefined,
      gone: false,
    };
    this.#entries.set(peer, entry);
    this.#enqueue(entry);
  }

  #enqueue(entry: Entry): void {
    entry.dueAt = performance.now();
    this.#queue.push(entry);
  }

  #forget(entry: Entry): void {
    entry.gone = true;
    clearTimeout(entry.timer);
    clearTimeout(entry.expiry);
    this.#entries.delete(entry.peer);
  }

  #pump(): void {
    while (this.#running < MAX_LOOKUPS) {
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      if (!entry.gone) void this.#ask(entry);
    }
  }

  async #ask(entry: Entry): Promise<void> {
    this.#running++;
    this.#counters.lookups++;
    const asked = performance.now();
    const found = await this.#lookUp(entry.name);
    this.#running--;
    if (!entry.gone) this.#settle(entry, found, asked);
    this.#pump();
  }

  /** `asked`: before the first question. What is asked first may be much older than the last answer. */
  #settle(entry: Entry, found: Result<Found, string>, asked: number): void {
    const now = performance.now();
    entry.dueAt = undefined;
    if (!found.ok) {
      this.#counters.failures++;
      entry.error = found.error;
      this.#askIn(entry, Math.min(LAST_RETRY, FIRST_RETRY * 2 ** Math.min(20, entry.failures++)));
      if (entry.ended) this.#end(entry);
      return;
    }
    const { facts, badRecords } = found.value;
    const age = ageOf(found.value, now - asked);
    entry.failures = 0;
    entry.error = undefined;
    entry.facts = facts;
    entry.ended = false;
    // First: where both are due at once the lookup is under way before the end comes.
    this.#askIn(entry, Math.max(LEAST_PAUSE, age - Math.min(MOST_EARLY, age * EARLY_SHARE)));
    this.#endIn(entry, age);
    this.#counters.badRecords += badRecords;
    this.#tell(entry.peer, facts);
  }

  #askIn(entry: Entry, millis: number): void {
    entry.nextAt = performance.now() + millis;
    entry.timer = setTimeout(() => {
      this.#enqueue(entry);
      this.#pump();
    }, millis);
    entry.timer.unref();
  }

  #endIn(entry: Entry, millis: number): void {
    clearTimeout(entry.expiry);
    entry.expiry = setTimeout(() => this.#expire(entry), millis);
    entry.expiry.unref();
  }

  /** RFC 8005 4.2: a record that has outlived its TTL is deleted, however many lookups wait for a resolver that is dead. */
  #expire(entry: Entry): void {
    const left = entry.dueAt === undefined ? 0 : entry.dueAt + MOST_LATE - performance.now();
    if (entry.ended || left <= 0) this.#end(entry);
    else {
      entry.ended = true;
      this.#endIn(entry, left);
    }
  }

  #end(entry: Entry): void {
    clearTimeout(entry.expiry);
    const { facts } = entry;
    entry.facts = undefined;
    entry.ended = false;
    if (facts !== undefined && facts.keys.length + facts.addresses.length > 0) this.#counters.expired++;
    this.#tell(entry.peer, { name: entry.name, validated: false, keys: [], addresses: [] });
  }
}

/** How long from now on this is believed, in milliseconds; `old`: since it was asked for. */
function ageOf({ ttl, recordTtl }: Found, old: number): number {
  const places = Math.max(ttl * 1000 - old, LEAST_AGE);
  const record = recordTtl === undefined ? MOST_AGE : Math.max(recordTtl * 1000 - old, LEAST_RECORD_AGE);
  return Math.min(MOST_AGE, places, record);
}
