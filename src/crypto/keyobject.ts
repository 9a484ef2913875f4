/** Raw public values to and from OpenSSL's keys. Node's types stay inside this layer. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { concat, fromHex } from "../core/bytes.ts";
import { toBase64 } from "./plain.ts";

export type CurveName = "P-256" | "P-384" | "P-521";

export interface Curve {
  readonly name: CurveName;
  /** Bytes of one coordinate. */
  readonly fieldBytes: number;
  /** Everything of a SubjectPublicKeyInfo before X and Y (RFC 5480 2), the mark of an uncompressed point included. */
  readonly spkiPrefix: Uint8Array;
}

export const P256: Curve = {
  name: "P-256",
  fieldBytes: 32,
  spkiPrefix: fromHex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
};
export const P384: Curve = {
  name: "P-384",
  fieldBytes: 48,
  spkiPrefix: fromHex("3076301006072a8648ce3d020106052b8104002203620004"),
};
export const P521: Curve = {
  name: "P-521",
  fieldBytes: 66,
  spkiPrefix: fromHex("30819b301006072a8648ce3d020106052b810400230381860004"),
};

/** RFC 8410 4. */
const ED25519_SPKI_PREFIX = fromHex("302a300506032b6570032100");

/** X | Y as a key. Undefined when the length is wrong or the point is not on the curve. */
export function ecPublicKey(curve: Curve, point: Uint8Array): KeyObject | undefined {
  if (point.length !== 2 * curve.fieldBytes) return undefined;
  return publicKeyOfSpki(concat(curve.spkiPrefix, point));
}

/** X | Y of an EC key, each of the width of the field. */
export function ecPoint(curve: Curve, key: KeyObject): Uint8Array {
  return new Uint8Array(spkiOf(key).subarray(-2 * curve.fieldBytes));
}

export function ed25519PublicKey(raw: Uint8Array): KeyObject | undefined {
  return raw.length === 32 ? publicKeyOfSpki(concat(ED25519_SPKI_PREFIX, raw)) : undefined;
}

export function ed25519Raw(key: KeyObject): Uint8Array {
  return new Uint8Array(spkiOf(key).subarray(-32));
}

/** Undefined when OpenSSL refuses it. */
export function publicKeyOfSpki(der: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey(pem("PUBLIC KEY", der));
  } catch {
    return undefined;
  }
}

/** Throws when OpenSSL refuses it. */
export function privateKeyOfPkcs8(der: Uint8Array): KeyObject {
  return createPrivateKey(pem("PRIVATE KEY", der));
}

/** A text is the one form of a key that Node does not first try to take for something else. */
function pem(label: string, der: Uint8Array): string {
  const base64 = toBase64(der);
  let lines = "";
  for (let at = 0; at < base64.length; at += 64) lines += `${base64.slice(at, at + 64)}\n`;
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}

/**
 * Node tells keys from objects that describe a key by catching errors. Collecting their stack traces takes longer than
 * reading a key, so that whatever needs such an object runs in here.
 */
export function withoutStackTraces<T>(work: () => T): T {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return work();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** The SubjectPublicKeyInfo of a public key. */
export function spkiOf(key: KeyObject): Uint8Array {
  return key.export({ format: "der", type: "spki" });
}
