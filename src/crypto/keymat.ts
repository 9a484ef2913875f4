/** Keying material (RFC 7401 6.5, RFC 5869) and the keys that are drawn from it (RFC 7402 7). */
import { createSecretKey, hkdfSync } from "node:crypto";
import { concat } from "../core/bytes.ts";
import { hitBytes } from "../core/ip.ts";
import type { Hit } from "../core/types.ts";
import { hmac } from "./rhash.ts";
import {
  type EspSuiteId,
  espSuite,
  type HipCipher,
  hipCipherKeyLength,
  type Rhash,
  rhashLength,
} from "./suites.ts";

export interface KeymatInput {
  /** That of the Responder's HIT suite. */
  readonly rhash: Rhash;
  readonly kij: Uint8Array;
  readonly hitI: Hit;
  readonly hitR: Hit;
  readonly i: Uint8Array;
  readonly j: Uint8Array;
  /** Bytes that were drawn before, when the material of an association is taken up again (RFC 7402 6.8). */
  readonly index?: number;
}

/** HKDF-Expand gives 255 blocks (RFC 5869 2.3). */
const MAX_BLOCKS = 255;
/** Derived at once: the keys of an association and of its first ESP SAs, whatever the suites. */
const FIRST_BYTES = 288;

/** A stream of key bytes, drawn once from front to back. Secret: never logged. */
export class Keymat {
  readonly #derive: (length: number) => Uint8Array;
  readonly #limit: number;
  /** The stream from its beginning, as far as it was needed. */
  #derived: Uint8Array = new Uint8Array(0);
  #index: number;

  constructor(input: KeymatInput) {
    const [lesser, greater] = input.hitI < input.hitR ? [input.hitI, input.hitR] : [input.hitR, input.hitI];
    const salt = concat(input.i, input.j);
    const info = concat(hitBytes(lesser), hitBytes(greater));
    this.#derive = (length) => hkdf(input.rhash, salt, input.kij, info, length);
    this.#limit = keymatLimit(input.rhash);
    this.#index = input.index ?? 0;
  }

  /** Bytes drawn so far: the KEYMAT Index of the next ESP_INFO (RFC 7402 5.1.1). */
  get index(): number {
    return this.#index;
  }

  /** Bytes that can still be drawn. Beyond them only a new Diffie-Hellman exchange helps. */
  get remaining(): number {
    return Math.max(0, this.#limit - this.#index);
  }

  /** The next bytes. Throws a RangeError beyond `remaining`: compare first, where the index came from a peer. */
  draw(length: number): Uint8Array {
    if (length > this.remaining) throw new RangeError(`KEYMAT has no ${length} bytes behind ${this.#index}`);
    const end = this.#index + length;
    if (end > this.#derived.length) {
      const enough = Math.max(end, FIRST_BYTES, 2 * this.#derived.length);
      this.#derived = this.#derive(Math.min(enough, this.#limit));
    }
    const bytes = this.#derived.slice(this.#index, end);
    this.#index = end;
    return bytes;
  }
}

/** Bytes that one Diffie-Hellman exchange gives. */
export function keymatLimit(rhash: Rhash): number {
  return MAX_BLOCKS * rhashLength(rhash);
}

/** RFC 5869 2.2 and 2.3 in one call. */
export function hkdf(
  rhash: Rhash,
  salt: Uint8Array,
  ikm: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  if (rhash !== "cshake128") return new Uint8Array(hkdfSync(rhash, createSecretKey(ikm), salt, info, length));
  const prk = hmac(rhash, salt, ikm);
  const blocks: Uint8Array[] = [];
  for (let made = 0; made < length; made += rhashLength(rhash)) {
    // T(n) = HMAC(PRK, T(n-1) | info | n).
    const last = blocks.at(-1) ?? new Uint8Array(0);
    blocks.push(hmac(rhash, prk, concat(last, info, Uint8Array.of(blocks.length + 1))));
  }
  return concat(...blocks).subarray(0, length);
}

/** Keys of ENCRYPTED and HIP_MAC, for what we send and what we receive. */
export interface AssociationKeys {
  readonly encryptOut: Uint8Array;
  readonly macOut: Uint8Array;
  readonly encryptIn: Uint8Array;
  readonly macIn: Uint8Array;
}

/** The first four keys of an association: those of the greater HIT's host come first (RFC 7401 6.5). */
export function associationKeys(
  keymat: Keymat,
  cipher: HipCipher,
  rhash: Rhash,
  localHit: Hit,
  peerHit: Hit,
): AssociationKeys {
  const pair = () => ({
    encrypt: keymat.draw(hipCipherKeyLength(cipher) ?? 0),
    mac: keymat.draw(rhashLength(rhash)),
  });
  const [out, inward] = inOrder(localHit, peerHit, pair);
  return { encryptOut: out.encrypt, macOut: out.mac, encryptIn: inward.encrypt, macIn: inward.mac };
}

/** Keys of one direction of ESP. */
export interface EspKey {
  /** For AES-GCM followed by four bytes of salt (RFC 4106 8.1). */
  readonly encryptionKey: Uint8Array;
  readonly integrityKey: Uint8Array;
}

export interface EspKeys {
  readonly outbound: EspKey;
  readonly inbound: EspKey;
}

/** The next ESP keys, in the same order (RFC 7402 7). `espKeyBytes` says how much they take. */
export function espKeys(keymat: Keymat, suite: EspSuiteId, localHit: Hit, peerHit: Hit): EspKeys {
  const spec = espSuite(suite);
  const pair = () => ({
    encryptionKey: keymat.draw(spec?.encryptionKeyLength ?? 0),
    integrityKey: keymat.draw(spec?.integrityKeyLength ?? 0),
  });
  const [outbound, inbound] = inOrder(localHit, peerHit, pair);
  return { outbound, inbound };
}

/** Bytes of KEYMAT that the keys of both directions take. */
export function espKeyBytes(suite: EspSuiteId): number {
  const spec = espSuite(suite);
  return 2 * ((spec?.encryptionKeyLength ?? 0) + (spec?.integrityKeyLength ?? 0));
}

/** Draws for the host with the greater HIT, then for the other; gives ours, then the peer's. */
function inOrder<T>(localHit: Hit, peerHit: Hit, draw: () => T): readonly [T, T] {
  const greater = draw();
  const lesser = draw();
  return localHit > peerHit ? [greater, lesser] : [lesser, greater];
}
