/** Precomputed R1s: an I1 is answered without state and without cryptography (RFC 7401 4.1.1, 6.7.1, Appendix A). */

import { BoundedMap, RateLimit } from "../core/bounded.ts";
import { equal, toHex } from "../core/bytes.ts";
import { hitBytes } from "../core/ip.ts";
import type { Random } from "../core/random.ts";
import { after, type Carrier, type Deadline, type Hit, type Instant, type Path } from "../core/types.ts";
import { puzzleValid } from "../crypto/puzzle.ts";
import { rhashLength, rhashOfHit } from "../crypto/suites.ts";
import { get, type Packet, parse, raw } from "../wire/packet.ts";
import { DH_GROUP_LIST, PUZZLE, R1_COUNTER, SOLUTION } from "../wire/rfc7401.ts";
import { NAT_TRAVERSAL_UDP_ENCAPSULATION } from "./carrier.ts";
import type { HostConfig } from "./config.ts";
import { Difficulty } from "./difficulty.ts";
import type { HipDrop } from "./drop-reasons.ts";
import type { DhPair, MakeR1, R1Made } from "./job.ts";
import { type HandedR1s, handedR1s, PUZZLES_PER_R1, puzzleOf, type R1Entry, takenR1 } from "./r1-entry.ts";
import { Solutions } from "./solutions.ts";

/** R1s remembered at once, offered or not. */
const MAX_R1S = 2_048;
/** An R1 that was used is replaced after this long at the earliest: RFC 7401 6.7.1 allows reuse in a storm. A failed one too. */
const MIN_OFFERED_MILLIS = 1_000;
/** An I1 like the last one from there within this time is dropped (RFC 7401 5.3.1). */
const DUPLICATE_I1_MILLIS = 20;
const MAX_I1_SOURCES = 4_096;

/** What one R1 is for: one per identity, Diffie-Hellman group and carrier. */
interface Slot {
  readonly key: string;
  readonly localHit: Hit;
  readonly group: number;
  readonly carrier: Carrier;
  offered: R1Entry | undefined;
  making: boolean;
  /** When it was last seen whether another one should be offered. */
  lookedAt: Instant | undefined;
  /** When its job failed last: the next one waits a little. */
  failedAt: Instant | undefined;
}

/** An R1 that an I2 answers. */
export interface R1Match {
  readonly dh: DhPair;
  readonly hostId: Uint8Array;
  readonly solution: string;
  /** Those of this R1: they outlive the pool, which new settings replace. */
  readonly solutions: Solutions;
}

export class R1Pool {
  readonly #config: HostConfig;
  readonly #random: Random;
  readonly #difficulty: Difficulty;
  readonly #slots = new Map<string, Slot>();
  readonly #entries = new BoundedMap<number, R1Entry>("r1_entries", MAX_R1S, "evict-oldest");
  /** I1s of the last moments: two generations, so that old ones go all at once. */
  #recentI1s = new BoundedMap<string, Instant>("recent_i1s", MAX_I1_SOURCES, "evict-oldest");
  #formerI1s = this.#recentI1s;
  #turnedAt = 0;
  readonly #limits = new BoundedMap<string, RateLimit>("r1_limits", MAX_I1_SOURCES, "evict-oldest");
  #secret: readonly number[];
  readonly #wanted: MakeR1Wanted[] = [];
  #generation: bigint;
  #nextOpaque: number;

  constructor(
    config: HostConfig,
    identities: readonly { readonly hit: Hit; readonly suite: number }[],
    carriers: readonly Carrier[],
    random: Random,
    firstGeneration: bigint,
  ) {
    this.#config = config;
    this.#random = random;
    this.#difficulty = new Difficulty(config.puzzle);
    this.#generation = firstGeneration;
    this.#nextOpaque = random.u32() & 0xffff;
    this.#secret = [random.u32(), random.u32()];
    for (const group of config.dhGroups) {
      for (const { hit } of identities) {
        for (const carrier of carriers) {
          const key = slotKey(hit, group, carrier);
          const slot: Slot = {
            key,
            localHit: hit,
            group,
            carrier,
            offered: undefined,
            making: false,
            lookedAt: undefined,
            failedAt: undefined,
          };
          this.#slots.set(key, slot);
          this.#want(slot);
        }
      }
    }
  }

  get difficulty(): number {
    return this.#difficulty.k;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The counter after the newest R1, from which a successor goes on. */
  get generation(): bigint {
    return this.#generation;
  }

  /** R1s that are being made. */
  get making(): number {
    let count = 0;
    for (const slot of this.#slots.values()) if (slot.making) count++;
    return count;
  }

  /** Takes over the R1s of the pool that this one replaces: late I2s are still accepted (6.7.1, Delta S). */
  inherit(before: R1Pool, now: Instant): void {
    this.#secret = before.#secret;
    for (const entry of before.#entries.values()) {
      entry.retiredAt ??= now;
      this.#entries.set(entry.opaque, entry);
    }
  }

  /** What a pool in another process needs to go on: see `resume`. */
  handOver(): HandedR1s {
    return { secret: this.#secret, generation: this.#generation, r1s: handedR1s(this.#entries.values()) };
  }

  /** Goes on where the pool of another process stopped. To be called before the first R1 is made. */
  resume(from: HandedR1s, now: Instant): void {
    // Puzzles of before are found by it. Where there are none, nobody may have made it.
    if (from.r1s.length > 0) this.#secret = from.secret;
    const ours = new Set(Array.from(this.#slots.values(), ({ localHit }) => localHit));
    for (const handed of from.r1s)
      if (ours.has(handed.localHit)) this.#entries.set(handed.opaque, takenR1(handed, now));
    // 4.1.4: it never goes back, whatever the clock does that it began with. What is wanted already counts, too.
    const first = this.#wanted[0]?.job.r1Counter ?? this.#generation;
    if (from.generation <= first) return;
    this.#generation = from.generation;
    for (const [at, wanted] of this.#wanted.entries())
      this.#wanted[at] = { ...wanted, job: { ...wanted.job, r1Counter: this.#generation++ } };
  }

  busy(now: Instant): void {
    this.#difficulty.busy(now);
  }

  /** An I2 with a right solution cost a Diffie-Hellman computation, and was forged. */
  forged({ solution, solutions }: R1Match, now: Instant): void {
    solutions.forged(solution);
    this.#difficulty.forged(now);
  }

  /** An R1 for this I1 (RFC 7401 6.7), or why there is none. */
  answer(localHit: Hit, i1: Packet, path: Path, now: Instant): Uint8Array | { readonly drop: HipDrop } {
    const list = get(i1, DH_GROUP_LIST);
    if (list === undefined) return { drop: "i1_without_dh_group_list" };
    if (i1.unknownCritical.length > 0) return { drop: "unknown_critical_parameter" };
    const from = path.remote.address;
    const content = `${i1.sender}${i1.receiver}${from} ${path.remote.port} ${list.groups.join()}`;
    if (now - this.#turnedAt > DUPLICATE_I1_MILLIS) {
      this.#formerI1s = this.#recentI1s;
      this.#recentI1s = new BoundedMap("recent_i1s", MAX_I1_SOURCES, "evict-oldest");
      this.#turnedAt = now;
    }
    const last = this.#recentI1s.get(content) ?? this.#formerI1s.get(content);
    this.#recentI1s.set(content, now);
    if (last !== undefined && now - last < DUPLICATE_I1_MILLIS) return { drop: "i1_duplicate" };
    let limit = this.#limits.get(from);
    if (limit === undefined) {
      limit = new RateLimit(this.#config.r1PerAddress, 2 * this.#config.r1PerAddress);
      this.#limits.set(from, limit);
    }
    if (!limit.take(now)) return { drop: "r1_rate_limit" };

    this.#difficulty.exchange(now);
    // 5.2.6: our own preference chooses; without a common group any will do (6.7 step 4).
    const { dhGroups } = this.#config;
    const group = dhGroups.find((id) => list.groups.includes(id)) ?? dhGroups[0];
    const slot = group === undefined ? undefined : this.#slots.get(slotKey(localHit, group, path.carrier));
    if (slot === undefined) return { drop: "no_r1_for_carrier" };
    this.#refresh(slot, now);
    const entry = slot.offered;
    if (entry === undefined) return { drop: "r1_not_ready" };
    return this.#fill(entry, i1.sender, from);
  }

  /** The R1 that this I2 answers, if its solution is right. Costs one hash at most, and only for a puzzle of ours. */
  match(localHit: Hit, i2: Packet, path: Path, now: Instant): R1Match | { readonly drop: HipDrop } {
    const solution = get(i2, SOLUTION);
    if (solution === undefined) return { drop: "i2_incomplete" };
    const entry = this.#entries.get(solution.opaque);
    if (entry === undefined || entry.localHit !== localHit) return { drop: "r1_unknown" };
    if (entry.retiredAt !== undefined && now - entry.retiredAt > this.#config.timers.r1Remembered) {
      this.#entries.delete(entry.opaque);
      return { drop: "r1_stale" };
    }
    const echoed = raw(i2, R1_COUNTER)?.contents;
    if (echoed !== undefined && entry.counter !== undefined && !equal(echoed, entry.counter)) {
      return { drop: "r1_counter" };
    }
    const i = puzzleOf(entry, this.#puzzlePlace(i2.sender, path.remote.address));
    if (solution.k !== entry.k || !equal(solution.i, i)) return { drop: "puzzle_unknown" };
    const rhash = rhashOfHit(localHit);
    if (
      rhash === undefined ||
      !puzzleValid({ rhash, i, j: solution.j, hitI: i2.sender, hitR: localHit, k: entry.k })
    ) {
      return { drop: "puzzle_unsolved" };
    }
    const solved = `${i2.sender}${toHex(solution.j)}`;
    const refusal = entry.solutions.refusal(solved);
    if (refusal !== undefined) return { drop: refusal };
    return { dh: entry.dh, hostId: entry.hostId, solution: solved, solutions: entry.solutions };
  }

  /**
   * An I2 was accepted: the same solution never counts again, and the R1 is replaced soon (6.7.1). False when the
   * solution was accepted while this I2 was being processed: its keys are in use.
   */
  used({ solution, solutions }: R1Match): boolean {
    return solutions.use(solution);
  }

  /** R1s that should be made now. */
  takeWanted(): readonly MakeR1Wanted[] {
    return this.#wanted.splice(0);
  }

  made(slotKeyText: string, result: R1Made | undefined, k: number, now: Instant): void {
    const slot = this.#slots.get(slotKeyText);
    if (slot === undefined) return;
    slot.making = false;
    slot.failedAt = result === undefined ? now : undefined;
    if (result === undefined) return;
    const parsed = parse(result.r1);
    const rhash = rhashOfHit(slot.localHit);
    if (!parsed.ok || rhash === undefined) return;
    const puzzle = raw(parsed.value, PUZZLE);
    if (slot.offered !== undefined) slot.offered.retiredAt = now;
    const opaque = this.#freeOpaque();
    const entry: R1Entry = {
      opaque,
      localHit: slot.localHit,
      r1: result.r1,
      dh: result.dh,
      hostId: result.hostId,
      k,
      counter: raw(parsed.value, R1_COUNTER)?.contents.slice(),
      puzzleAt: puzzle && puzzle.offset + 4,
      puzzles: this.#random.bytes(PUZZLES_PER_R1 * rhashLength(rhash)),
      madeAt: now,
      retiredAt: undefined,
      solutions: new Solutions(),
    };
    slot.offered = entry;
    this.#forgetStale(now);
    if (this.#entries.size >= this.#entries.limit) this.#forgetOldestRetired();
    this.#entries.set(opaque, entry);
  }

  /** When the oldest offered R1 should be replaced without anybody asking. */
  deadline(): Deadline | undefined {
    let first: Instant | undefined;
    const { puzzle, timers } = this.#config;
    for (const { offered, making, failedAt, lookedAt } of this.#slots.values()) {
      // One that is being replaced already waits for its job: a deadline in the past would come again and again.
      if (offered === undefined || making) continue;
      // Made under load: nobody may come for hours, and then should not solve what a storm has left.
      const ends =
        offered.k > puzzle.idleK
          ? after(Math.max(offered.madeAt, lookedAt ?? 0) as Instant, MIN_OFFERED_MILLIS)
          : after(offered.madeAt, timers.r1Offered);
      const retry = failedAt === undefined ? ends : after(failedAt, MIN_OFFERED_MILLIS);
      const at = Math.max(ends, retry) as Instant;
      if (first === undefined || at < first) first = at;
    }
    return first === undefined ? undefined : { at: first, why: "r1 rotation" };
  }

  timeout(now: Instant): void {
    for (const slot of this.#slots.values()) {
      slot.lookedAt = now;
      this.#refresh(slot, now);
    }
    this.#forgetStale(now);
  }

  #refresh(slot: Slot, now: Instant): void {
    const entry = slot.offered;
    const age = entry === undefined ? Number.POSITIVE_INFINITY : now - entry.madeAt;
    const worn =
      entry === undefined ||
      age >= this.#config.timers.r1Offered ||
      (age >= MIN_OFFERED_MILLIS && (entry.solutions.any || entry.k !== this.#difficulty.at(now)));
    if (worn) this.#want(slot, now);
  }

  #want(slot: Slot, now?: Instant): void {
    if (slot.making) return;
    if (now !== undefined && slot.failedAt !== undefined && now < slot.failedAt + MIN_OFFERED_MILLIS) return;
    slot.making = true;
    const config = this.#config;
    const k = now === undefined ? this.#difficulty.k : this.#difficulty.at(now);
    const job: MakeR1 = {
      kind: "make-r1",
      localHit: slot.localHit,
      group: slot.group,
      r1Counter: this.#generation++,
      puzzleK: k,
      puzzleLifetime: config.puzzle.lifetime,
      hipCiphers: config.hipCiphers,
      hitSuites: config.hitSuites,
      dhGroups: config.dhGroups,
      espSuites: config.espSuites,
      natTraversalModes: slot.carrier === "udp" ? [NAT_TRAVERSAL_UDP_ENCAPSULATION] : [],
      domainIdentifier: config.domainIdentifier,
      offerLsiSpi: config.offerLsiSpi,
    };
    this.#wanted.push({ slotKey: slot.key, k, job });
  }

  #fill(entry: R1Entry, initiator: Hit, from: string): Uint8Array {
    const bytes = entry.r1.slice();
    bytes.set(hitBytes(initiator), 24);
    const at = entry.puzzleAt;
    if (at !== undefined) {
      bytes[at + 2] = entry.opaque >> 8;
      bytes[at + 3] = entry.opaque & 0xff;
      bytes.set(puzzleOf(entry, this.#puzzlePlace(initiator, from)), at + 4);
    }
    return bytes;
  }

  /**
   * Binds a puzzle to the Initiator's HIT and address without a cryptographic hash: an attacker who guessed the secret
   * could only make two of his own addresses share an #I.
   */
  #puzzlePlace(initiator: Hit, from: string): number {
    let mixed = this.#secret[0] as number;
    const text = initiator + from;
    for (let at = 0; at < text.length; at++) {
      mixed = Math.imul(mixed ^ text.charCodeAt(at), 0x01000193) + (this.#secret[1] as number);
    }
    return ((mixed >>> 16) ^ mixed) & (PUZZLES_PER_R1 - 1);
  }

  #freeOpaque(): number {
    do this.#nextOpaque = (this.#nextOpaque + 1) & 0xffff;
    while (this.#entries.has(this.#nextOpaque));
    return this.#nextOpaque;
  }

  /** One that is still offered must stay, however long it is there. */
  #forgetOldestRetired(): void {
    for (const entry of this.#entries.values()) {
      if (entry.retiredAt === undefined) continue;
      this.#entries.delete(entry.opaque);
      return;
    }
  }

  #forgetStale(now: Instant): void {
    for (const entry of this.#entries.values()) {
      if (entry.retiredAt !== undefined && now - entry.retiredAt > this.#config.timers.r1Remembered) {
        this.#entries.delete(entry.opaque);
      }
    }
  }
}

export interface MakeR1Wanted {
  readonly slotKey: string;
  readonly k: number;
  readonly job: MakeR1;
}

function slotKey(hit: Hit, group: number, carrier: Carrier): string {
  return `${hit}/${group}/${carrier}`;
}
