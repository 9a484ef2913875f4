/** node:crypto's signatures against @noble/curves and tweetnacl, in both directions. */
import { createPrivateKey } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384 } from "@noble/curves/nist.js";
import nacl from "tweetnacl";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex, utf8 } from "../../src/core/bytes.ts";
import { Identity, PublicIdentity } from "../../src/crypto/identity.ts";

const message = utf8("the packet up to its signature");
const mark = Uint8Array.of(0x04);

/** The private scalar or seed of an identity. */
function secretOf(identity: Identity): Uint8Array {
  const { d = "" } = createPrivateKey(identity.toPkcs8Pem()).export({ format: "jwk" });
  return new Uint8Array(Buffer.from(d, "base64url"));
}

function publicIdentity(algorithm: number, hostIdentity: Uint8Array): PublicIdentity {
  const made = PublicIdentity.from(algorithm, hostIdentity);
  if (!made.ok) throw new Error(made.error);
  return made.value;
}

describe.each([
  ["ecdsa-p256", p256, "0001"],
  ["ecdsa-p384", p384, "0002"],
] as const)("%s and @noble/curves", (kind, curve, label) => {
  const options = { lowS: false } as const;

  test("theirs verifies ours, as r | s over the curve's own hash", () => {
    const identity = Identity.generate(kind);
    const point = concat(mark, identity.hostIdentity.subarray(2));
    expect(curve.verify(identity.sign(message), message, point, options)).toBe(true);
    expect(curve.verify(identity.sign(message), utf8("another"), point, options)).toBe(false);
  });

  test("ours verifies theirs", () => {
    const { secretKey, publicKey } = curve.keygen();
    const point = curve.Point.fromBytes(publicKey).toBytes(false).subarray(1);
    const signature = curve.sign(message, secretKey, options);
    const identity = publicIdentity(7, concat(fromHex(label), point));
    expect(identity.verify(message, 7, signature)).toBe(true);
    expect(identity.verify(utf8("another"), 7, signature)).toBe(false);
  });

  test("both have the same public key for one private key", () => {
    const identity = Identity.generate(kind);
    expect(toHex(identity.hostIdentity)).toBe(
      label + toHex(curve.getPublicKey(secretOf(identity), false).subarray(1)),
    );
  });
});

describe("ed25519, @noble/curves and tweetnacl", () => {
  test("three implementations make the same signature", () => {
    const identity = Identity.generate("ed25519");
    const seed = secretOf(identity);
    const pair = nacl.sign.keyPair.fromSeed(seed);
    expect(toHex(identity.hostIdentity)).toBe(`00010000${toHex(pair.publicKey)}`);
    expect(toHex(identity.sign(message))).toBe(toHex(nacl.sign.detached(message, pair.secretKey)));
    expect(toHex(identity.sign(message))).toBe(toHex(ed25519.sign(message, seed)));
  });

  test("ours verifies theirs", () => {
    const pair = nacl.sign.keyPair();
    const identity = publicIdentity(13, concat(fromHex("00010000"), pair.publicKey));
    const signature = nacl.sign.detached(message, pair.secretKey);
    expect(identity.verify(message, 13, signature)).toBe(true);
    signature[5] = (signature[5] as number) ^ 1;
    expect(identity.verify(message, 13, signature)).toBe(false);
  });

  test("RFC 8032 7.1 test 2", () => {
    const seed = fromHex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    const made = Identity.fromPrivateKey(concat(fromHex("302e020100300506032b657004220420"), seed));
    if (!made.ok) throw new Error(made.error);
    expect(toHex(made.value.hostIdentity)).toBe(
      "000100003d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    );
    expect(toHex(made.value.sign(Uint8Array.of(0x72)))).toBe(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
  });
});
