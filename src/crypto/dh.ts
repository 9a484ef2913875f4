/** Diffie-Hellman (RFC 7401 5.2.7): raw public values of fixed width; Kij keeps its leading zeros. */
import { diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";
import { BoundedMap } from "../core/bounded.ts";
import { concat, toHex } from "../core/bytes.ts";
import { err, ok, type Result } from "../core/types.ts";
import { bitString, children, elements, integer, sequence, withoutLeadingZeros } from "./der.ts";
import {
  type Curve,
  ecPublicKey,
  P256,
  P384,
  P521,
  privateKeyOfPkcs8,
  publicKeyOfSpki,
  spkiOf,
} from "./keyobject.ts";
import { plain, toLatin1 } from "./plain.ts";
import { DH_GROUP } from "./suites.ts";

/** A key pair as plain data, so that a worker thread can be given it. Secret: never logged. */
export interface DhKey {
  readonly group: number;
  /** X | Y (RFC 5903 7), or the MODP value padded to the length of the prime. */
  readonly publicValue: Uint8Array;
  /** PKCS#8 in DER. */
  readonly privateKey: Uint8Array;
}

interface Group {
  readonly id: number;
  generate(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
  /** The public value of a generated pair, of which `pkcs8` is the private key. */
  rawOf(publicKey: KeyObject, pkcs8: Uint8Array): Uint8Array;
  /** The peer's value as a key; a text when it fails validation (RFC 2785 3.1, RFC 7401 5.3.2). */
  keyOf(raw: Uint8Array): KeyObject | string;
}

/**
 * Private keys that are ready for use: one that has an R1 is used for many I2s. On a thread that the R1 pool makes new ones
 * on all the time, none stays here for long; others call `forgetReadyKeys`.
 */
const MAX_READY_KEYS = 32;
const readyKeys = new BoundedMap<string, KeyObject>("ready_dh_keys", MAX_READY_KEYS, "evict-oldest");

const EMPTY = new Uint8Array(0);

const GROUPS: readonly Group[] = [
  ecGroup(DH_GROUP.P256, P256),
  ecGroup(DH_GROUP.P384, P384),
  ecGroup(DH_GROUP.P521, P521),
  modpGroup(DH_GROUP.MODP_3072, "modp15", 384),
  modpGroup(DH_GROUP.MODP_1536, "modp5", 192),
];

/** In our order of preference. */
export const supportedDhGroups: readonly number[] = GROUPS.map(({ id }) => id);

/** A fresh key pair of a supported group; any other group is a programming error. */
export function generateDh(group: number): DhKey {
  const row = groupOf(group);
  if (row === undefined) throw new Error(`DH group ${group} is not supported`);
  const { publicKey, privateKey } = row.generate();
  const pkcs8 = plain(privateKey.export({ format: "der", type: "pkcs8" }));
  readyKeys.set(toLatin1(pkcs8), privateKey);
  return { group, publicValue: row.rawOf(publicKey, pkcs8), privateKey: pkcs8 };
}

/** Kij of our key and the peer's public value, which is validated first. */
export function agree(key: DhKey, peerPublic: Uint8Array): Result<Uint8Array, string> {
  const row = groupOf(key.group);
  if (row === undefined) return err(`DH group ${key.group} is not supported`);
  const publicKey = row.keyOf(peerPublic);
  if (typeof publicKey === "string") return err(`DH group ${key.group}: ${publicKey}`);
  try {
    return ok(plain(diffieHellman({ privateKey: readyKey(key.privateKey), publicKey })));
  } catch {
    return err(`DH group ${key.group}: no agreement with this public value`);
  }
}

/** Nothing of former Diffie-Hellman keys is kept for speed any more: whoever reads this memory later learns no Kij. */
export function forgetReadyKeys(): void {
  readyKeys.clear();
}

function readyKey(pkcs8: Uint8Array): KeyObject {
  const name = toLatin1(pkcs8);
  const known = readyKeys.get(name);
  if (known !== undefined) return known;
  const key = privateKeyOfPkcs8(pkcs8);
  readyKeys.set(name, key);
  return key;
}

function groupOf(id: number): Group | undefined {
  return GROUPS.find((group) => group.id === id);
}

function ecGroup(id: number, curve: Curve): Group {
  const publicBytes = 2 * curve.fieldBytes;
  return {
    id,
    generate: () => generateKeyPairSync("ec", { namedCurve: curve.name }),
    // OpenSSL writes the public key at the very end (RFC 5915 3).
    rawOf: (_, pkcs8) => pkcs8.slice(-publicBytes),
    keyOf: (raw) => {
      if (raw.length !== publicBytes) return `the public value has ${raw.length} bytes, not ${publicBytes}`;
      return ecPublicKey(curve, raw) ?? "the point is not on the curve";
    },
  };
}

function modpGroup(id: number, name: string, publicBytes: number): Group {
  let known: Domain | undefined;
  const generate = () => generateModp("dh", { group: name });
  return {
    id,
    generate,
    rawOf: (publicKey) => {
      // A BIT STRING begins with the count of unused bits; in it is an INTEGER.
      const bits = children(spkiOf(publicKey))[1]?.contents.subarray(1) ?? EMPTY;
      const value = withoutLeadingZeros(elements(bits)[0]?.contents ?? EMPTY);
      return concat(new Uint8Array(publicBytes - value.length), value);
    },
    keyOf: (raw) => {
      // A peer may have stripped the zeros in front: the number is the same.
      if (raw.length === 0 || raw.length > publicBytes) {
        return `the public value has ${raw.length} bytes, not 1 to ${publicBytes}`;
      }
      known ??= domainOf(generate().publicKey);
      const value = numberOf(raw);
      if (value < 2n || value > known.prime - 2n) return "the public value is not between 2 and p - 2";
      // The generator's subgroup, of order (p - 1) / 2, is that of the quadratic residues.
      if (jacobi(value, known.prime) !== 1) return "the public value is not in the generator's subgroup";
      const spki = sequence(known.algorithm, bitString(integer(raw)));
      return publicKeyOfSpki(spki) ?? "the public value is not usable";
    },
  };
}

/** Node has it, its type declarations do not. */
const generateModp = generateKeyPairSync as unknown as (
  type: "dh",
  options: { readonly group: string },
) => { readonly publicKey: KeyObject; readonly privateKey: KeyObject };

/** A MODP group as OpenSSL has it. */
interface Domain {
  /** AlgorithmIdentifier of a SubjectPublicKeyInfo (RFC 3279 2.3.3), with prime and generator. */
  readonly algorithm: Uint8Array;
  readonly prime: bigint;
}

function domainOf(publicKey: KeyObject): Domain {
  const algorithm = children(spkiOf(publicKey))[0]?.whole ?? EMPTY;
  const parameters = children(algorithm)[1]?.whole ?? EMPTY;
  return { algorithm, prime: numberOf(children(parameters)[0]?.contents ?? EMPTY) };
}

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes)}`);
}

/** The Jacobi symbol (a/n) for odd n; for a prime n it is 1 for quadratic residues, by Euler a^((n-1)/2). */
function jacobi(a: bigint, n: bigint): number {
  let sign = 1;
  let top = a % n;
  let bottom = n;
  while (top !== 0n) {
    while ((top & 1n) === 0n) {
      top >>= 1n;
      const mod8 = bottom & 7n;
      if (mod8 === 3n || mod8 === 5n) sign = -sign;
    }
    [top, bottom] = [bottom, top];
    if ((top & 3n) === 3n && (bottom & 3n) === 3n) sign = -sign;
    top %= bottom;
  }
  return bottom === 1n ? sign : 0;
}
