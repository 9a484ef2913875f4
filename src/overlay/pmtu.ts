/**
 * The largest packet that a path carries, found by packets that arrive or do not (RFC 8899): works where nobody says
 * "too big". Pure: tells which size to try next, and takes what became of it.
 */
import type { Instant } from "../core/types.ts";

/** Sizes that paths are known to have, outer IP header included: tunnels, PPPoE, Ethernet, FDDI, jumbo frames. */
export const KNOWN_SIZES: readonly number[] = [1280, 1400, 1420, 1450, 1480, 1492, 1500, 4352, 8900, 9000];
/** BASE_PLPMTU (RFC 8899 5.1.2), and what IPv4 may have less. IPv6 always carries the first. */
const BASES = [1280, 1200, 1006, 576] as const;
/** Probes of one size before it counts as too large (MAX_PROBES). */
export const MAX_PROBES = 3;
/** The search ends when it is as near as that. */
const NEAR = 8;

export interface PmtuOptions {
  /** PMTU_RAISE_TIMER. */
  readonly raise: number;
  /** How long an answer is believed: CONFIRMATION_TIMER, and only while there is traffic. */
  readonly confirm: number;
}

export const DEFAULT_PMTU: PmtuOptions = { raise: 600_000, confirm: 15_000 };

/** What to try: a size, or 0: what the kernel believes. */
export type Size = number;

type Phase = "confirm" | "base" | "search" | "done";

/** One path's search. */
export class Pmtu {
  readonly #ipv6: boolean;
  readonly #options: PmtuOptions;
  #phase: Phase = "confirm";
  /** Imposed on packets; undefined: the kernel's belief holds. */
  #mtu: number | undefined;
  /** Seen to arrive. */
  #arrived: number | undefined;
  /** Smallest that did not. */
  #high = Number.POSITIVE_INFINITY;
  #losses = 0;
  #base = 0;
  #answeredAt: Instant | undefined;
  #doneAt: Instant | undefined;

  constructor(ipv6: boolean, options: PmtuOptions = DEFAULT_PMTU) {
    this.#ipv6 = ipv6;
    this.#options = options;
  }

  /** What packets are to be held to; undefined: what the kernel believes. */
  get mtu(): number | undefined {
    return this.#mtu;
  }

  /** The largest size that was seen to arrive. */
  get arrived(): number | undefined {
    return this.#arrived;
  }

  /** The size to try now; undefined: nothing is to be found out. */
  get next(): Size | undefined {
    if (this.#phase === "confirm") return this.#mtu ?? 0;
    if (this.#phase === "base") return BASES[this.#base];
    return this.#phase === "search" ? this.#candidate() : undefined;
  }

  /**
   * There is traffic: an old answer is asked for again, and after a long while a larger size. `doubtful`: something
   * seems to be wrong, so a fresh answer is old, too.
   */
  check(now: Instant, doubtful = false): void {
    if (this.#phase !== "done") return;
    if (this.#doneAt !== undefined && now - this.#doneAt >= this.#options.raise && this.#mtu !== undefined) {
      this.#high = Number.POSITIVE_INFINITY;
      this.#begin("search");
      return;
    }
    const patience = doubtful ? 1000 : this.#options.confirm;
    if (this.#answeredAt === undefined || now - this.#answeredAt >= patience) this.#begin("confirm");
  }

  /** A probe of `size` was answered: packets of that size arrive. Returns true when `mtu` is another one now. */
  answered(asked: Size, size: number, now: Instant): boolean {
    const before = this.#mtu;
    this.#losses = 0;
    this.#answeredAt = now;
    if (asked === 0) this.#mtu = undefined;
    if (this.#phase === "confirm") {
      this.#arrived = size;
      if (asked === (before ?? 0)) this.#begin("done");
      this.#doneAt ??= now;
    } else if (this.#phase !== "done" && asked === this.next) {
      this.#arrived = size;
      this.#mtu = asked;
      this.#begin("search");
      if (this.#candidate() === undefined) this.#done(now);
    }
    return this.#mtu !== before;
  }

  /** A probe of `size` was not answered, though smaller ones were. Returns true when `mtu` is another one now. */
  lost(asked: Size, now: Instant): boolean {
    const before = this.#mtu;
    if (asked !== this.next || ++this.#losses < MAX_PROBES) return false;
    this.#losses = 0;
    switch (this.#phase) {
      case "confirm":
        // A black hole (RFC 8899 4.3): down to what every path carries, and up again from there.
        if (asked !== 0) this.#high = asked;
        this.#arrived = undefined;
        this.#fall(0, now);
        break;
      case "base":
        this.#fall(this.#base + 1, now);
        break;
      case "search":
        this.#high = asked;
        if (this.#candidate() === undefined) this.#done(now);
        break;
      case "done":
        break;
    }
    return this.#mtu !== before;
  }

  /** Packets are held to this size already, by whoever looked after the path before. */
  inherit(mtu: number): void {
    this.#mtu = mtu;
  }

  /** The path is another one, or was dead: whatever was under way begins anew. */
  restart(): void {
    this.#begin("confirm");
  }

  #fall(index: number, now: Instant): void {
    const last = this.#ipv6 ? 0 : BASES.length - 1;
    this.#base = Math.min(index, last);
    this.#mtu = BASES[this.#base];
    // Below the smallest there is nothing to find: packets go on as small as they may be.
    if (index > last) this.#done(now);
    else this.#begin("base");
  }

  #begin(phase: Phase): void {
    this.#phase = phase;
    this.#losses = 0;
  }

  #done(now: Instant): void {
    this.#begin("done");
    this.#doneAt = now;
  }

  /** Known sizes upward until one is too large, then by halves. */
  #candidate(): number | undefined {
    const low = this.#arrived ?? this.#mtu ?? 0;
    const known = KNOWN_SIZES.find((size) => size > low && size < this.#high);
    if (known !== undefined) return known;
    if (!Number.isFinite(this.#high) || this.#high - low <= NEAR) return undefined;
    return low + Math.ceil((this.#high - low) / 2);
  }
}
