/** Numbers of algorithms and the sizes that follow from them (RFC 7401 5.2.7 to 5.2.10, RFC 7402 5.1.2). */
import type { Hit } from "../core/types.ts";

/** The hash function of a HIT suite: for the puzzle, HMACs and KEYMAT of an association (RFC 7401 2.3, RHASH). */
export type Rhash = "sha256" | "sha384" | "cshake128";

/** HIT suites that this implementation has (RFC 7401 5.2.10, RFC 9374 3.4.2). */
export type HitSuiteId = 1 | 2 | 5;

export interface HitSuite {
  readonly id: HitSuiteId;
  readonly name: string;
  readonly rhash: Rhash;
  /** HI algorithm whose keys make HITs of this suite. */
  readonly algorithm: number;
}

export const HI_ALGORITHM = { RSA: 5, ECDSA: 7, ECDSA_LOW: 9, EDDSA: 13 } as const;

/** Suite 3 (ECDSA_LOW/SHA-1) is not here: 80 bits of strength. */
export const HIT_SUITES: readonly HitSuite[] = [
  { id: 1, name: "RSA/SHA-256", rhash: "sha256", algorithm: HI_ALGORITHM.RSA },
  { id: 2, name: "ECDSA/SHA-384", rhash: "sha384", algorithm: HI_ALGORITHM.ECDSA },
  { id: 5, name: "EdDSA/cSHAKE128", rhash: "cshake128", algorithm: HI_ALGORITHM.EDDSA },
];

/** RHASH_len in bytes. For cSHAKE128 it is our choice: docs/decisions/0001-hit-suite-5.md. */
const RHASH_LENGTH: Readonly<Record<Rhash, number>> = { sha256: 32, sha384: 48, cshake128: 32 };

/** Bytes of an output of RHASH: of I, J, a MAC and an integrity key. */
export function rhashLength(rhash: Rhash): number {
  return RHASH_LENGTH[rhash];
}

/** The suite with this ID, or undefined when it is not supported. */
export function hitSuite(id: number): HitSuite | undefined {
  return HIT_SUITES.find((suite) => suite.id === id);
}

export function suiteOfAlgorithm(algorithm: number): HitSuite | undefined {
  return HIT_SUITES.find((suite) => suite.algorithm === algorithm);
}

/** The OGA ID of a HIT: the four bits behind the prefix 2001:20::/28. It may name a suite that is not supported. */
export function suiteOfHit(hit: Hit): number {
  return Number.parseInt(hit.charAt(7), 16);
}

/** The RHASH of an association: that of the Responder's HIT suite (RFC 7401 6.4.1). Undefined: not supported. */
export function rhashOfHit(hit: Hit): Rhash | undefined {
  return hitSuite(suiteOfHit(hit))?.rhash;
}

/** DIFFIE_HELLMAN group IDs (RFC 7401 5.2.7). SECP160R1 (10) has 80 bits of strength and is not supported. */
export const DH_GROUP = { MODP_1536: 3, MODP_3072: 4, P256: 7, P384: 8, P521: 9, SECP160R1: 10 } as const;

/** HIP_CIPHER IDs (RFC 7401 5.2.8). NULL is not supported. */
export const HIP_CIPHER_ID = { NULL: 1, AES_128_CBC: 2, AES_256_CBC: 4 } as const;
export type HipCipher = 2 | 4;

/** In order of preference. */
export const supportedHipCiphers: readonly HipCipher[] = [
  HIP_CIPHER_ID.AES_256_CBC,
  HIP_CIPHER_ID.AES_128_CBC,
];

/** Key bytes of a HIP cipher; undefined when it is not supported. */
export function hipCipherKeyLength(id: number): number | undefined {
  if (id === HIP_CIPHER_ID.AES_128_CBC) return 16;
  return id === HIP_CIPHER_ID.AES_256_CBC ? 32 : undefined;
}

export function isHipCipher(id: number): id is HipCipher {
  return hipCipherKeyLength(id) !== undefined;
}

export type EspSuiteId = 7 | 8 | 9 | 12 | 13;

export interface EspSuiteSpec {
  readonly id: EspSuiteId;
  readonly name: string;
  /** Bytes drawn from KEYMAT; for AES-GCM the key and four bytes of salt (RFC 4106 8.1). */
  readonly encryptionKeyLength: number;
  readonly integrityKeyLength: number;
}

/** ESP suites (RFC 7402 5.1.2). AES-GCM keys are 128 bits: the suites 12 and 13 do not say a length. */
export const ESP_SUITES: readonly EspSuiteSpec[] = [
  { id: 13, name: "AES-GCM-16", encryptionKeyLength: 20, integrityKeyLength: 0 },
  { id: 12, name: "AES-GCM-8", encryptionKeyLength: 20, integrityKeyLength: 0 },
  { id: 9, name: "AES-256-CBC/HMAC-SHA-256", encryptionKeyLength: 32, integrityKeyLength: 32 },
  { id: 8, name: "AES-128-CBC/HMAC-SHA-256", encryptionKeyLength: 16, integrityKeyLength: 32 },
  { id: 7, name: "NULL/HMAC-SHA-256", encryptionKeyLength: 0, integrityKeyLength: 32 },
];

export function espSuite(id: number): EspSuiteSpec | undefined {
  return ESP_SUITES.find((suite) => suite.id === id);
}
