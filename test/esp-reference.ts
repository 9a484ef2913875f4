/**
 * ESP as RFC 7402 uses it, written from the RFCs a second time: slow, plain and on node:crypto, to check native/ against.
 */
import {
  type CipherGCMTypes,
  createCipheriv,
  createDecipheriv,
  createHmac,
  timingSafeEqual,
} from "node:crypto";
import { concat, utf8 } from "../src/core/bytes.ts";
import type { EspSuite } from "../src/hip/sa.ts";

export interface ReferenceSa {
  readonly suite: EspSuite;
  /** AES key; suites 12 and 13: followed by 4 bytes of salt; suite 7: empty. */
  readonly encryptionKey: Uint8Array;
  /** 32 bytes; empty for suites 12 and 13. */
  readonly integrityKey: Uint8Array;
  readonly spi: number;
}

export interface Opened {
  readonly nextHeader: number;
  readonly payload: Uint8Array;
}

/** One ESP packet, from SPI to ICV. The IV is the one that hipd chooses, unless another is given. */
export function seal(
  sa: ReferenceSa,
  sequence: bigint,
  nextHeader: number,
  payload: Uint8Array,
  iv: Uint8Array = chosenIv(sa, sequence),
): Uint8Array {
  const text = padded(payload, nextHeader, isCbc(sa.suite) ? 16 : 4);
  const high = big(sequence >> 32n, 4);
  const header = concat(big(BigInt(sa.spi), 4), big(sequence & 0xffffffffn, 4));
  if (isGcm(sa.suite)) {
    const { cipher, key, salt } = gcm(sa);
    const aes = createCipheriv(cipher, key, concat(salt, iv), { authTagLength: icvLength(sa.suite) });
    // RFC 4106 5: SPI, then the extended sequence number.
    aes.setAAD(concat(big(BigInt(sa.spi), 4), big(sequence, 8)));
    const sealed = concat(aes.update(text), aes.final());
    return concat(header, iv, sealed, aes.getAuthTag());
  }
  let sealed = text;
  if (isCbc(sa.suite)) {
    const aes = createCipheriv(cbcName(sa), sa.encryptionKey, iv).setAutoPadding(false);
    sealed = concat(aes.update(text), aes.final());
  }
  const packet = concat(header, iv, sealed);
  // RFC 4303 2.2.1: the upper half is covered as if it stood behind the packet.
  return concat(packet, hmac(sa.integrityKey, packet, high).subarray(0, 16));
}

/** What is inside, or undefined when the packet is not authentic under this sequence number or its padding is wrong. */
export function open(sa: ReferenceSa, sequence: bigint, packet: Uint8Array): Opened | undefined {
  const ivAt = 8;
  const textAt = ivAt + ivLength(sa.suite);
  const icvAt = packet.length - icvLength(sa.suite);
  if (icvAt < textAt + 2) return undefined;
  const iv = packet.subarray(ivAt, textAt);
  const sealed = packet.subarray(textAt, icvAt);
  const icv = packet.subarray(icvAt);
  let text: Uint8Array;
  if (isGcm(sa.suite)) {
    const { cipher, key, salt } = gcm(sa);
    const aes = createDecipheriv(cipher, key, concat(salt, iv), { authTagLength: icvLength(sa.suite) });
    aes.setAAD(concat(packet.subarray(0, 4), big(sequence, 8)));
    aes.setAuthTag(icv);
    try {
      text = concat(aes.update(sealed), aes.final());
    } catch {
      return undefined;
    }
  } else {
    const right = hmac(sa.integrityKey, packet.subarray(0, icvAt), big(sequence >> 32n, 4)).subarray(0, 16);
    if (!timingSafeEqual(right, icv)) return undefined;
    text = sealed;
    if (isCbc(sa.suite)) {
      const aes = createDecipheriv(cbcName(sa), sa.encryptionKey, iv).setAutoPadding(false);
      text = concat(aes.update(sealed), aes.final());
    }
  }
  const padding = text[text.length - 2] as number;
  const length = text.length - 2 - padding;
  if (length < 0) return undefined;
  for (let i = 0; i < padding; i++) if (text[length + i] !== i + 1) return undefined;
  return { nextHeader: text[text.length - 1] as number, payload: text.subarray(0, length) };
}

/** RFC 4303 A2.2, as its figures say it: the one candidate that is inside the window, or else the next after it. */
export function inferSequence(low: number, top: bigint, window: bigint): bigint {
  const bottom = top - window + 1n;
  // The smallest number with this lower half that is not below the window.
  let candidate = ((bottom >> 32n) << 32n) + BigInt(low);
  while (candidate < bottom || candidate < 0n) candidate += 1n << 32n;
  return candidate;
}

/**
 * GCM: the sequence number. CBC: a block that nobody can foretell, the sequence number enciphered under a key that is
 * made from the integrity key.
 */
export function chosenIv(sa: ReferenceSa, sequence: bigint): Uint8Array {
  if (isGcm(sa.suite)) return big(sequence, 8);
  if (!isCbc(sa.suite)) return new Uint8Array(0);
  const key = hmac(sa.integrityKey, utf8("hipd esp iv")).subarray(0, 16);
  return new Uint8Array(
    createCipheriv("aes-128-ecb", key, null).setAutoPadding(false).update(big(sequence, 16)),
  );
}

/** Padding 1, 2, 3, ..., its length and the next header (RFC 4303 2.4). */
function padded(payload: Uint8Array, nextHeader: number, unit: number): Uint8Array {
  const padding: number[] = [];
  while ((payload.length + padding.length + 2) % unit !== 0) padding.push(padding.length + 1);
  return concat(payload, Uint8Array.from([...padding, padding.length, nextHeader]));
}

function gcm(sa: ReferenceSa): { cipher: CipherGCMTypes; key: Uint8Array; salt: Uint8Array } {
  const length = sa.encryptionKey.length - 4;
  return {
    cipher: length === 16 ? "aes-128-gcm" : "aes-256-gcm",
    key: sa.encryptionKey.subarray(0, length),
    salt: sa.encryptionKey.subarray(length),
  };
}

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const mac = createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return new Uint8Array(mac.digest());
}

function isGcm(suite: EspSuite): boolean {
  return suite === 12 || suite === 13;
}

function isCbc(suite: EspSuite): boolean {
  return suite === 8 || suite === 9;
}

function cbcName(sa: ReferenceSa): string {
  return sa.suite === 8 ? "aes-128-cbc" : "aes-256-cbc";
}

function ivLength(suite: EspSuite): number {
  return isGcm(suite) ? 8 : isCbc(suite) ? 16 : 0;
}

function icvLength(suite: EspSuite): number {
  return suite === 12 ? 8 : 16;
}

function big(value: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = length - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}
