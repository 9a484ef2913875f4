/** The Host Identity field of HOST_ID to and from OpenSSL's keys (RFC 7401 5.2.9, RFC 3110 2, RFC 9374 3.4.1.1). */
import { createPublicKey, type KeyObject } from "node:crypto";
import { concat, equal, fromHex } from "../core/bytes.ts";
import { Reader, Writer } from "../core/cursor.ts";
import { err, ok, type Result } from "../core/types.ts";
import {
  type Curve,
  ecPoint,
  ecPublicKey,
  ed25519PublicKey,
  ed25519Raw,
  P256,
  P384,
  withoutStackTraces,
} from "./keyobject.ts";
import { fromBase64, toBase64url } from "./plain.ts";
import { HI_ALGORITHM } from "./suites.ts";

/** A public key that was checked, and what its signatures are like. Stays inside this layer. */
export interface HostKey {
  readonly key: KeyObject;
  /** Hash of its signatures; null where the algorithm hashes by itself. */
  readonly digest: "sha256" | "sha384" | null;
  /** A second hash that its signatures may be made with. */
  readonly otherDigest?: "sha384";
  readonly signatureBytes: number;
}

const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 4096;
/** Longer exponents only make verification slow. */
const MAX_RSA_EXPONENT_BYTES = 8;

/** ECC curve labels (RFC 7401 5.2.9) and the hash that RFC 4754 gives each. */
const CURVES: readonly {
  readonly label: number;
  readonly curve: Curve;
  readonly digest: "sha256" | "sha384";
}[] = [
  { label: 1, curve: P256, digest: "sha256" },
  { label: 2, curve: P384, digest: "sha384" },
];

/** EdDSA curve label of Ed25519 (RFC 9374 3.4.1.1). */
const EDDSA_25519 = 1;

export function encodeHostIdentity(key: KeyObject): {
  readonly algorithm: number;
  readonly hostIdentity: Uint8Array;
} {
  if (key.asymmetricKeyType === "rsa") {
    return { algorithm: HI_ALGORITHM.RSA, hostIdentity: encodeRsa(key) };
  }
  if (key.asymmetricKeyType === "ed25519") {
    const hostIdentity = new Writer().u16(EDDSA_25519).u16(0).bytes(ed25519Raw(key)).done();
    return { algorithm: HI_ALGORITHM.EDDSA, hostIdentity };
  }
  const isP384 = key.asymmetricKeyDetails?.namedCurve === "secp384r1";
  const { label, curve } = (isP384 ? CURVES[1] : CURVES[0]) as (typeof CURVES)[number];
  const hostIdentity = new Writer().u16(label).bytes(ecPoint(curve, key)).done();
  return { algorithm: HI_ALGORITHM.ECDSA, hostIdentity };
}

export function decodeHostIdentity(algorithm: number, hostIdentity: Uint8Array): Result<HostKey, string> {
  switch (algorithm) {
    case HI_ALGORITHM.RSA:
      return decodeRsa(hostIdentity);
    case HI_ALGORITHM.ECDSA:
      return decodeEcdsa(hostIdentity);
    case HI_ALGORITHM.EDDSA:
      return decodeEddsa(hostIdentity);
    default:
      return err(`HI algorithm ${algorithm} is not supported`);
  }
}

/** RFC 3110 2: exponent length (1 byte, or 0 and 2 bytes), exponent, modulus; no leading zeros. */
function encodeRsa(key: KeyObject): Uint8Array {
  const { n = "", e = "" } = key.export({ format: "jwk" });
  const exponent = fromBase64(e);
  const writer = new Writer();
  if (exponent.length > 255) writer.u8(0).u16(exponent.length);
  else writer.u8(exponent.length);
  return writer.bytes(exponent).bytes(fromBase64(n)).done();
}

function decodeRsa(hostIdentity: Uint8Array): Result<HostKey, string> {
  const reader = new Reader(hostIdentity);
  // The long form also for a short exponent: some send it, and the HIT covers it as it is.
  const short = reader.u8();
  const exponent = reader.take(short === 0 ? reader.u16() : short);
  const modulus = reader.rest();
  if (reader.overrun || exponent.length === 0 || exponent.length > MAX_RSA_EXPONENT_BYTES) {
    return err(`RSA: the exponent must have 1 to ${MAX_RSA_EXPONENT_BYTES} bytes`);
  }
  const isOne = exponent.length === 1 && exponent[0] === 1;
  if (exponent[0] === 0 || isOne || !isOdd(exponent)) return err("RSA: the exponent must be odd and above 1");
  const bits = bitLength(modulus);
  if (modulus[0] === 0 || bits < MIN_RSA_BITS || bits > MAX_RSA_BITS || !isOdd(modulus)) {
    return err(`RSA: the modulus must be odd and have ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits`);
  }
  const jwk = { kty: "RSA", n: toBase64url(modulus), e: toBase64url(exponent) };
  try {
    const key = withoutStackTraces(() => createPublicKey({ key: jwk, format: "jwk" }));
    return ok({ key, digest: "sha256", signatureBytes: modulus.length });
  } catch {
    return err("RSA: the key is not usable");
  }
}

function decodeEcdsa(hostIdentity: Uint8Array): Result<HostKey, string> {
  const reader = new Reader(hostIdentity);
  const label = reader.u16();
  const row = CURVES.find((candidate) => candidate.label === label);
  if (row === undefined) return err(`ECDSA: curve ${label} is not supported`);
  const key = ecPublicKey(row.curve, reader.rest());
  if (key === undefined) return err(`ECDSA: not a point on ${row.curve.name}`);
  const signatureBytes = 2 * row.curve.fieldBytes;
  // RFC 4754 pairs P-256 with SHA-256; some read the HIT suite's name, ECDSA/SHA-384, as the hash of every curve.
  return row.label === 1
    ? ok({ key, digest: row.digest, otherDigest: "sha384", signatureBytes })
    : ok({ key, digest: row.digest, signatureBytes });
}

function decodeEddsa(hostIdentity: Uint8Array): Result<HostKey, string> {
  const reader = new Reader(hostIdentity);
  const label = reader.u16();
  const zero = reader.u16();
  if (label !== EDDSA_25519 || zero !== 0) return err(`EdDSA: curve ${label} is not supported`);
  const raw = reader.rest();
  const key = isSmallOrder(raw) ? undefined : ed25519PublicKey(raw);
  if (key === undefined) return err("EdDSA: not an Ed25519 public key");
  return ok({ key, digest: null, signatureBytes: 64 });
}

/**
 * Y coordinates (little-endian) of the points of order 1, 2, 4 and 8 on edwards25519, with the encodings that are not
 * reduced. Anyone could sign for such a key.
 */
const SMALL_ORDER: readonly Uint8Array[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map(fromHex);

function isSmallOrder(raw: Uint8Array): boolean {
  if (raw.length !== 32) return false;
  const y = concat(raw.subarray(0, 31), Uint8Array.of((raw[31] as number) & 0x7f));
  return SMALL_ORDER.some((bad) => equal(bad, y));
}

function bitLength(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : 8 * bytes.length - Math.clz32(bytes[0] as number) + 24;
}

function isOdd(bytes: Uint8Array): boolean {
  return ((bytes[bytes.length - 1] ?? 0) & 1) === 1;
}
