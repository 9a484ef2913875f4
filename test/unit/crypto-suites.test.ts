import { expect, test } from "vitest";
import { type Hit, NULL_HIT } from "../../src/core/types.ts";
import {
  espSuite,
  hipCipherKeyLength,
  hitSuite,
  isHipCipher,
  rhashOfHit,
  suiteOfAlgorithm,
  suiteOfHit,
  supportedHipCiphers,
} from "../../src/crypto/suites.ts";

test.each([
  [1, "sha256", 5],
  [2, "sha384", 7],
  [5, "cshake128", 13],
] as const)("HIT suite %i has RHASH %s and HI algorithm %i", (id, rhash, algorithm) => {
  const hit = `2001002${id}`.padEnd(32, "a") as Hit;
  expect(suiteOfHit(hit)).toBe(id);
  expect(rhashOfHit(hit)).toBe(rhash);
  expect(suiteOfAlgorithm(algorithm)?.id).toBe(id);
});

test("suites without an implementation are named by their HIT, but have no RHASH", () => {
  for (const id of [0, 3, 4, 7, 15]) {
    const hit = `2001002${id.toString(16)}`.padEnd(32, "a") as Hit;
    expect(suiteOfHit(hit)).toBe(id);
    expect(rhashOfHit(hit)).toBeUndefined();
    expect(hitSuite(id)).toBeUndefined();
  }
  expect(suiteOfHit(NULL_HIT)).toBe(0);
});

test("HIP ciphers: AES-256-CBC and AES-128-CBC; never NULL or a reserved number (RFC 7401 5.2.8)", () => {
  expect(supportedHipCiphers).toEqual([4, 2]);
  expect([0, 1, 2, 3, 4, 5].map(hipCipherKeyLength)).toEqual([
    undefined,
    undefined,
    16,
    undefined,
    32,
    undefined,
  ]);
  expect([0, 1, 2, 3, 4, 5].filter(isHipCipher)).toEqual([2, 4]);
});

test("ESP suites: deprecated and other numbers are not known (RFC 7402 5.1.2)", () => {
  for (const id of [0, 1, 2, 6, 10, 11, 14, 15]) expect(espSuite(id)).toBeUndefined();
});
