/** What a data plane keeps for one peer: traffic, credit (RFC 8046 5.6), silence, and the path's MTU. */

/** CreditAgingInterval in milliseconds, and CreditAgingFactor (RFC 8046 5.6.2). */
const AGING_INTERVAL = 5000;
const AGING_FACTOR = 7 / 8;

/** How long packets from where we sent before are no news, and how many such places are remembered. */
const FORMER_MILLIS = 10_000;
const FORMER = 8;

export class PeerLedger {
  txPackets = 0;
  txBytes = 0;
  rxPackets = 0;
  rxBytes = 0;
  activeAt: number;
  pathMtu: number | undefined;
  /** Somebody looks whether an answer comes. */
  listening = false;
  #credit = 0;
  #agedAt: number;
  /** The first packet that went out since the last one came. */
  #awaitedSince: number | undefined;
  #saidAt: number | undefined;
  #sentAt = 0;
  /** A packet came along the path in use since it is that. */
  followed = false;
  /** Endpoints that we sent to before, and until when packets from there are no news. */
  readonly #former = new Map<string, number>();

  constructor(now: number) {
    this.activeAt = now;
    this.#agedAt = now;
  }

  sent(bytes: number): void {
    this.txPackets++;
    this.txBytes += bytes;
  }

  received(bytes: number): void {
    this.rxPackets++;
    this.rxBytes += bytes;
  }

  /** A whole packet of this size came. */
  earned(size: number, now: number): void {
    this.#age(now);
    this.#credit += size;
  }

  /** An answer came, or what may be one. */
  heard(): void {
    this.#awaitedSince = undefined;
  }

  /** We send elsewhere from now on than to this endpoint. */
  left(endpoint: string, now: number): void {
    this.#former.set(endpoint, now + FORMER_MILLIS);
    this.followed = false;
    if (this.#former.size > FORMER) this.#former.delete(this.#former.keys().next().value as string);
  }

  hasLeft(endpoint: string, now: number): boolean {
    return (this.#former.get(endpoint) ?? 0) > now;
  }

  /** Takes credit for a packet to an address that nobody has verified; false: there is too little. */
  spend(size: number, now: number): boolean {
    this.#age(now);
    if (this.#credit < size) return false;
    this.#credit -= size;
    return true;
  }

  #age(now: number): void {
    for (; this.#agedAt + AGING_INTERVAL <= now; this.#agedAt += AGING_INTERVAL) this.#credit *= AGING_FACTOR;
  }

  /** Something was sent that should bring an answer. True: nobody looks for it yet. */
  awaits(now: number): boolean {
    this.#sentAt = now;
    if (this.#awaitedSince === undefined) {
      this.#awaitedSince = now;
      this.#saidAt = undefined;
    }
    return !this.listening;
  }

  /** Undefined: nothing is awaited any more. */
  silence(
    now: number,
    after: number,
  ): { readonly raise: boolean; readonly millis: number; readonly again: number } | undefined {
    const since = this.#awaitedSince;
    // Nothing more went out since it was said.
    if (since === undefined || (this.#saidAt !== undefined && this.#sentAt <= this.#saidAt)) {
      this.#awaitedSince = undefined;
      return undefined;
    }
    const due = Math.max(since, this.#saidAt ?? since) + after;
    const millis = now - since;
    if (now < due) return { raise: false, millis, again: Math.max(1, due - now) };
    this.#saidAt = now;
    return { raise: true, millis, again: after };
  }
}
