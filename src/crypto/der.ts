/** The little of DER (X.690) that MODP public keys and ECDSA signatures need: OpenSSL takes and gives them so. */
import { concat } from "../core/bytes.ts";

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const SEQUENCE = 0x30;

export interface Element {
  readonly contents: Uint8Array;
  /** With tag and length. */
  readonly whole: Uint8Array;
}

/** The elements that follow each other in `der`. Only for output of OpenSSL: it is well-formed. */
export function elements(der: Uint8Array): readonly Element[] {
  const found: Element[] = [];
  let at = 0;
  while (at + 2 <= der.length) {
    const first = der[at + 1] as number;
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    const start = at + 2 + lengthBytes;
    let length = lengthBytes === 0 ? first : 0;
    for (const byte of der.subarray(at + 2, start)) length = length * 256 + byte;
    found.push({ contents: der.subarray(start, start + length), whole: der.subarray(at, start + length) });
    at = start + length;
  }
  return found;
}

/** The elements inside the first element of `der`. */
export function children(der: Uint8Array): readonly Element[] {
  return elements(elements(der)[0]?.contents ?? der);
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return element(SEQUENCE, concat(...parts));
}

export function bitString(bytes: Uint8Array): Uint8Array {
  return element(BIT_STRING, concat(Uint8Array.of(0), bytes));
}

/** An unsigned big-endian number. */
export function integer(bytes: Uint8Array): Uint8Array {
  const value = withoutLeadingZeros(bytes);
  return element(INTEGER, (value[0] ?? 0) < 0x80 ? value : concat(Uint8Array.of(0), value));
}

/** An ECDSA-Sig-Value (RFC 3279 2.2.3) of r | s. */
export function ecdsaSignature(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  return sequence(integer(raw.subarray(0, half)), integer(raw.subarray(half)));
}

/** r | s, each of `width` bytes, of an ECDSA-Sig-Value that OpenSSL made. */
export function rawEcdsaSignature(der: Uint8Array, width: number): Uint8Array {
  const raw = new Uint8Array(2 * width);
  for (const [at, { contents }] of children(der).entries()) {
    const value = withoutLeadingZeros(contents);
    raw.set(value, (at + 1) * width - value.length);
  }
  return raw;
}

/** Keeps one byte of zero. */
export function withoutLeadingZeros(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0);
  return bytes.subarray(first < 0 ? bytes.length - 1 : first);
}

function element(tag: number, contents: Uint8Array): Uint8Array {
  const { length } = contents;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return concat(Uint8Array.of(tag, ...head), contents);
}
