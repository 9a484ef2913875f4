/** The body of ENCRYPTED: IV and ciphertext of padded parameters (RFC 7401 5.2.18, RFC 3602). */
import { createCipheriv, createDecipheriv, createSecretKey } from "node:crypto";
import { concat } from "../core/bytes.ts";
import { err, ok, type Result } from "../core/types.ts";
import { plain } from "./plain.ts";
import { HIP_CIPHER_ID, type HipCipher } from "./suites.ts";

/** Bytes of an IV: random, fresh for each ENCRYPTED. */
export const IV_BYTES = 16;
const BLOCK = 16;
const TLV_ALIGNMENT = 8;

/** `plainTlv`: whole parameters with their padding. Pads as PKCS #5 does: always, to the block size. */
export function encrypt(
  cipher: HipCipher,
  key: Uint8Array,
  iv: Uint8Array,
  plainTlv: Uint8Array,
): Uint8Array {
  const aes = createCipheriv(nameOf(cipher), createSecretKey(key), iv);
  return concat(iv, aes.update(plainTlv), aes.final());
}

/**
 * The parameters in a `body`. As they are aligned to 8 bytes, PKCS #5 padding is 8 bytes of 8 or 16 of 16; a sender
 * that adds none where none is needed is understood too.
 */
export function decrypt(cipher: HipCipher, key: Uint8Array, body: Uint8Array): Result<Uint8Array, string> {
  const ciphertext = body.subarray(IV_BYTES);
  if (ciphertext.length === 0 || ciphertext.length % BLOCK !== 0) {
    return err(`ENCRYPTED: ${body.length} bytes are not an IV and whole blocks`);
  }
  try {
    const aes = createDecipheriv(nameOf(cipher), createSecretKey(key), body.subarray(0, IV_BYTES));
    aes.setAutoPadding(false);
    return ok(withoutPadding(plain(concat(aes.update(ciphertext), aes.final()))));
  } catch {
    return err("ENCRYPTED: the key does not fit the cipher");
  }
}

function withoutPadding(bytes: Uint8Array): Uint8Array {
  const count = bytes[bytes.length - 1] as number;
  if (count !== TLV_ALIGNMENT && count !== BLOCK) return bytes;
  const padding = bytes.subarray(bytes.length - count);
  return padding.every((byte) => byte === count) ? bytes.subarray(0, bytes.length - count) : bytes;
}

function nameOf(cipher: HipCipher): "aes-128-cbc" | "aes-256-cbc" {
  return cipher === HIP_CIPHER_ID.AES_128_CBC ? "aes-128-cbc" : "aes-256-cbc";
}
