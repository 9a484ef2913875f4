/** Local Scope Identifiers (RFC 9063 4.4): IPv4 addresses that stand for HITs on this host only, and never change. */
import { fromHex } from "../core/bytes.ts";
import { contains, formatPrefix, lsiFromBytes, type Prefix, parseIpv4 } from "../core/ip.ts";
import { err, type Hit, type Lsi, ok, type Result } from "../core/types.ts";

/** Peers that have an LSI at once, configured or not any more. */
export const MAX_LSIS = 65_536;

/**
 * A bijection between HITs and LSIs. An LSI is derived from its HIT, so that hosts without a collision agree on it and
 * a lost state file does no harm; on a collision the next free address is taken and kept for ever.
 */
export class LsiMap {
  readonly prefix: Prefix;
  readonly own: Lsi;
  /** True when something changed since `saved` was called. */
  dirty: boolean;
  readonly #limit: number;
  readonly #lsiOf = new Map<Hit, Lsi>();
  readonly #hitOf = new Map<Lsi, Hit>();

  private constructor(prefix: Prefix, own: Lsi, limit: number, dirty: boolean) {
    this.prefix = prefix;
    this.own = own;
    this.#limit = limit;
    this.dirty = dirty;
  }

  /** An empty map: the host's own LSI is derived from `self`. Fails when the prefix has no room for even one peer. */
  static create(prefix: Prefix, self: Hit, limit: number = MAX_LSIS): Result<LsiMap, string> {
    const refused = checkPrefix(prefix);
    if (refused !== undefined) return err(refused);
    return ok(new LsiMap(prefix, address(prefix, firstChoice(prefix, self)), limit, true));
  }

  /**
   * The map as it was saved. Entries that do not fit (twice the same, outside of the prefix, beyond the limit) are left
   * out; with another prefix than the present one all are, and every HIT gets a new LSI.
   */
  static load(
    prefix: Prefix,
    self: Hit,
    saved: {
      readonly lsiPrefix: string;
      readonly ownLsi: string;
      readonly lsis: readonly (readonly [string, string])[];
    },
    limit: number = MAX_LSIS,
  ): Result<LsiMap, string> {
    const refused = checkPrefix(prefix);
    if (refused !== undefined) return err(refused);
    if (saved.lsiPrefix !== formatPrefix(prefix) || !usable(prefix, saved.ownLsi)) {
      return LsiMap.create(prefix, self, limit);
    }
    const map = new LsiMap(prefix, saved.ownLsi as Lsi, limit, false);
    for (const [hit, lsi] of saved.lsis) {
      const fits =
        /^[0-9a-f]{32}$/.test(hit) &&
        usable(prefix, lsi) &&
        lsi !== map.own &&
        map.size < limit &&
        !map.#lsiOf.has(hit as Hit) &&
        !map.#hitOf.has(lsi as Lsi);
      if (fits) map.#set(hit as Hit, lsi as Lsi);
      else map.dirty = true;
    }
    return ok(map);
  }

  get size(): number {
    return this.#lsiOf.size;
  }

  /** How many HITs can have an LSI. */
  get room(): number {
    return Math.min(this.#limit, 2 ** (32 - this.prefix.length) - 3);
  }

  lsi(hit: Hit): Lsi | undefined {
    return this.#lsiOf.get(hit);
  }

  hit(lsi: Lsi): Hit | undefined {
    return this.#hitOf.get(lsi);
  }

  /** The LSI of a HIT, made when it has none yet. */
  assign(hit: Hit): Result<Lsi, string> {
    const known = this.#lsiOf.get(hit);
    if (known !== undefined) return ok(known);
    if (this.size >= this.room) {
      return err(
        `all ${this.room} LSIs of ${formatPrefix(this.prefix)} are in use; choose a larger network.lsi_prefix, or delete the LSIs of former peers from the state file`,
      );
    }
    const hosts = 2 ** (32 - this.prefix.length);
    let index = firstChoice(this.prefix, hit);
    for (;;) {
      const lsi = address(this.prefix, index);
      if (lsi !== this.own && !this.#hitOf.has(lsi)) {
        this.#set(hit, lsi);
        this.dirty = true;
        return ok(lsi);
      }
      index = index + 1 < hosts - 1 ? index + 1 : 1;
    }
  }

  saved(): { lsiPrefix: string; ownLsi: string; lsis: readonly (readonly [string, string])[] } {
    this.dirty = false;
    return { lsiPrefix: formatPrefix(this.prefix), ownLsi: this.own, lsis: [...this.#lsiOf] };
  }

  #set(hit: Hit, lsi: Lsi): void {
    this.#lsiOf.set(hit, lsi);
    this.#hitOf.set(lsi, hit);
  }
}

function checkPrefix(prefix: Prefix): string | undefined {
  if (prefix.bytes.length !== 4) return `LSI prefix ${formatPrefix(prefix)} is not IPv4`;
  // Network, broadcast, the host itself, and a peer.
  if (prefix.length > 30) {
    return `LSI prefix ${formatPrefix(prefix)} has no room for this host and one peer: a /30 is the smallest`;
  }
  return undefined;
}

/** Whether `text` is an address of the prefix that a host may have. */
function usable(prefix: Prefix, text: string): boolean {
  const bytes = parseIpv4(text);
  if (bytes === undefined || !contains(prefix, bytes)) return false;
  const hosts = 2 ** (32 - prefix.length);
  const index = number(bytes) - number(prefix.bytes);
  return index > 0 && index < hosts - 1;
}

/** The host part that a HIT gets when it is free: 1 to 2^n - 2. */
function firstChoice(prefix: Prefix, hit: Hit): number {
  return 1 + (mix(fromHex(hit)) % (2 ** (32 - prefix.length) - 2));
}

/** 32 bits that depend on all bits of the HIT. Collisions are harmless, so this need not be cryptographic. */
function mix(bytes: Uint8Array): number {
  let state = 0x9e37_79b9;
  for (const byte of bytes) {
    state = Math.imul(state ^ byte, 0x0100_0193);
    state ^= state >>> 15;
  }
  state = Math.imul(state ^ (state >>> 16), 0x2c1b_3c6d);
  state = Math.imul(state ^ (state >>> 13), 0x297a_2d39);
  return (state ^ (state >>> 16)) >>> 0;
}

function address(prefix: Prefix, index: number): Lsi {
  const value = number(prefix.bytes) + index;
  return lsiFromBytes(Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value));
}

function number(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}
