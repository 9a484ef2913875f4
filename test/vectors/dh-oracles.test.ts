/** Diffie-Hellman against RFC 5903's numbers, @noble/curves, and plain arithmetic. */
import { createPrivateKey } from "node:crypto";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../src/core/bytes.ts";
import { agree, type DhKey, generateDh } from "../../src/crypto/dh.ts";

const mark = Uint8Array.of(0x04);

function mustAgree(key: DhKey, peer: Uint8Array): string {
  const kij = agree(key, peer);
  if (!kij.ok) throw new Error(kij.error);
  return toHex(kij.value);
}

describe.each([
  [7, p256],
  [8, p384],
  [9, p521],
] as const)("group %i and @noble/curves", (group, curve) => {
  test("agree on Kij, the X coordinate with its leading zeros", () => {
    const ours = generateDh(group);
    const theirs = curve.keygen();
    const theirPublic = curve.Point.fromBytes(theirs.publicKey).toBytes(false).subarray(1);
    const shared = curve.getSharedSecret(theirs.secretKey, concat(mark, ours.publicValue)).subarray(1);
    expect(mustAgree(ours, theirPublic)).toBe(toHex(shared));
  });
});

test("RFC 5903 8.1: P-256", () => {
  const key = p256Key("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433");
  const gr = fromHex(
    "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63" +
      "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
  );
  expect(mustAgree(key, gr)).toBe("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de");
});

/** A key pair of group 7 with this private scalar. */
function p256Key(scalar: string): DhKey {
  const point = p256.getPublicKey(fromHex(scalar), false).subarray(1);
  const jwk = {
    kty: "EC",
    crv: "P-256",
    d: base64url(fromHex(scalar)),
    x: base64url(point.subarray(0, 32)),
    y: base64url(point.subarray(32)),
  };
  const privateKey = createPrivateKey({ key: jwk, format: "jwk" }).export({ format: "der", type: "pkcs8" });
  return { group: 7, publicValue: point, privateKey: new Uint8Array(privateKey) };
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

/** RFC 3526 2 and 4: the primes by their formula, p = 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) pi) + c). */
const PRIMES = [
  [3, 1536n, 741804n],
  [4, 3072n, 1690314n],
] as const;

describe.each(PRIMES)("group %i", (group, bits, c) => {
  const prime = 2n ** bits - 2n ** (bits - 64n) - 1n + 2n ** 64n * (piTimes2To(bits - 130n) + c);

  test("is the MODP group of RFC 3526 with generator 2, and Kij is g^xy mod p, padded", () => {
    const key = generateDh(group);
    const peerSecret = 0x1234_5678_9abc_def0_1234_5678_9abc_def1n;
    const peerPublic = power(2n, peerSecret, prime);
    const kij = power(number(key.publicValue), peerSecret, prime);
    const width = Number(bits / 4n);
    expect(mustAgree(key, fromHex(peerPublic.toString(16).padStart(width, "0")))).toBe(
      kij.toString(16).padStart(width, "0"),
    );
  });
});

function number(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes)}`);
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  let square = base % modulus;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

/** floor(2^bits * pi), by Machin's formula with 64 spare bits. */
function piTimes2To(bits: bigint): bigint {
  const one = 1n << (bits + 64n);
  const arctanOfInverse = (x: bigint) => {
    let sum = 0n;
    let term = one / x;
    for (let n = 1n; term !== 0n; n += 2n) {
      sum += n % 4n === 1n ? term / n : -(term / n);
      term /= x * x;
    }
    return sum;
  };
  return (4n * (4n * arctanOfInverse(5n) - arctanOfInverse(239n))) >> 64n;
}
