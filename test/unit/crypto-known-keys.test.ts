/** What makes keys and signatures quick must not change what they are. */
import { createPublicKey, verify } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, toHex } from "../../src/core/bytes.ts";
import { ecdsaSignature, rawEcdsaSignature } from "../../src/crypto/der.ts";
import { agree, generateDh } from "../../src/crypto/dh.ts";
import { Identity, PublicIdentity } from "../../src/crypto/identity.ts";

test("ECDSA signatures keep r and s, whatever zeros they begin with", () => {
  const number = (width: number) =>
    fc
      .tuple(fc.uint8Array({ minLength: width, maxLength: width }), fc.nat({ max: width }))
      .map(([bytes, zeros]) => bytes.fill(0, 0, zeros));
  fc.assert(
    fc.property(
      fc.constantFrom(32, 48).chain((width) => fc.tuple(fc.constant(width), number(width), number(width))),
      ([width, r, s]) => {
        const raw = concat(r, s);
        expect(toHex(rawEcdsaSignature(ecdsaSignature(raw), width))).toBe(toHex(raw));
      },
    ),
  );
});

test.each(["ecdsa-p256", "ecdsa-p384"] as const)("Node reads the r | s of %s", (kind) => {
  const identity = Identity.generate(kind);
  const key = createPublicKey(identity.toPkcs8Pem());
  const digest = kind === "ecdsa-p256" ? "sha256" : "sha384";
  for (let i = 0; i < 600; i++) {
    const bytes = Uint8Array.of(i & 0xff, i >> 8);
    const signature = identity.sign(bytes);
    expect(signature.length).toBe(kind === "ecdsa-p256" ? 64 : 96);
    expect(verify(digest, bytes, { key, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
  }
});

test("a host identity that was met before is known by all of its bytes and its algorithm", () => {
  const [one, other] = [Identity.generate("ecdsa-p256"), Identity.generate("ecdsa-p256")];
  for (let i = 0; i < 300; i++) Identity.generate("ed25519"); // nobody remembers the first two
  const bytes = one.hostIdentity.slice();
  const first = mustBe(PublicIdentity.from(one.algorithm, bytes));
  expect(mustBe(PublicIdentity.from(one.algorithm, bytes.slice())).hit).toBe(first.hit);
  expect(PublicIdentity.from(5, bytes).ok).toBe(false);
  // The caller's buffer may hold something else afterwards.
  bytes.set(other.hostIdentity);
  expect(mustBe(PublicIdentity.from(one.algorithm, bytes)).hit).toBe(other.hit);
  expect(mustBe(PublicIdentity.from(one.algorithm, one.hostIdentity)).hit).toBe(one.hit);
  expect(toHex(first.hostIdentity)).toBe(toHex(one.hostIdentity));
});

test("a bad host identity is refused each time", () => {
  const { algorithm, hostIdentity } = Identity.generate("ecdsa-p256");
  const bad = hostIdentity.slice();
  bad[bad.length - 1] = (bad[bad.length - 1] as number) ^ 1;
  for (let i = 0; i < 3; i++) expect(PublicIdentity.from(algorithm, bad).ok).toBe(false);
});

test("errors elsewhere keep their stack traces", () => {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 7;
  const [key, rsa] = [generateDh(7), Identity.generate("rsa-2048")];
  expect(agree(key, key.publicValue).ok).toBe(true);
  expect(agree(key, new Uint8Array(64).fill(1)).ok).toBe(false);
  expect(rsa.publicOnly().verify(new Uint8Array(3), rsa.algorithm, rsa.sign(new Uint8Array(3)))).toBe(true);
  expect(Error.stackTraceLimit).toBe(7);
  Error.stackTraceLimit = before;
});

function mustBe<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  if (!result.ok) throw new Error("refused");
  return result.value;
}

test("keys of any length are read: their text form has lines of 64 characters", () => {
  // A SubjectPublicKeyInfo of 48 bytes ends exactly with a line.
  for (const kind of ["ecdsa-p256", "ecdsa-p384", "ed25519"] as const) {
    const { algorithm, hostIdentity } = Identity.generate(kind).publicOnly();
    expect(PublicIdentity.from(algorithm, hostIdentity).ok).toBe(true);
  }
  const key = generateDh(3);
  for (const square of [4, 9, 16, 25]) {
    for (let zeros = 0; zeros < 48; zeros++) {
      const value = new Uint8Array(49 + zeros);
      value[0] = square; // times 2^(8 * even) or 2^(8 * odd): a square, too
      expect(agree(key, value).ok).toBe(true);
    }
  }
});
