/** HITs: RFC 8005 7's key, RFC 9374's authors' examples, and a second construction from the text of RFC 7343. */
import { sha256, sha384 } from "@noble/hashes/sha2.js";
import { cshake128 } from "@noble/hashes/sha3-addons.js";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../src/core/bytes.ts";
import { formatHit, formatIpv6 } from "../../src/core/ip.ts";
import { hitOf } from "../../src/crypto/hit.ts";
import { Identity } from "../../src/crypto/identity.ts";
import { suiteOfHit } from "../../src/crypto/suites.ts";

const CONTEXT_ID = fromHex("f0eff02fbff43d0fe7930c3c6e6174ea");

function hitText(algorithm: number, hostIdentity: Uint8Array): string {
  const hit = hitOf(algorithm, hostIdentity);
  return hit.ok ? formatHit(hit.value) : hit.error;
}

test("suite 1: the RSA key of RFC 8005 7", () => {
  const key = Buffer.from(
    "AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p9+LrV4e19WzK00+CI6zBCQTdtWsuxKbWIy87UOoJTwkUs7lBu+Upr1gsNrut79ry" +
      "ra+bSRGQb1slImA8YVJyuIDsj7kwzG7jnERNqnWxZ48AWkskmdHaVDP4BcelrTI3rMXdXF5D",
    "base64",
  );
  expect(hitText(5, key)).toBe("2001:21:731f:db71:2bf5:bf3b:f642:72a4");
});

test("suite 5: the key of the decision 0001", () => {
  const hostIdentity = fromHex("000100008fded48237e4ef874d0baa7435fd716217c4ad2aebe6a123b3d5ed9bf9cef0ed");
  expect(hitText(13, hostIdentity)).toBe("2001:25:7e63:550f:c809:15d9:a986:b76b");
});

describe("cSHAKE128 as the DET examples of draft-ietf-drip-registries use it", () => {
  const HHIT_CONTEXT_ID = fromHex("00b5a69c795df5d5f0087f56843f2c40");
  test.each([
    [
      "9990d5b04b72a18066d4092b52c7d4994fb7c16bd7e8c1f440ffa8d04ff1e13f",
      "2001003ffe000005",
      "2001:3f:fe00:5:5e60:a157:1e91:a0b7",
    ],
    [
      "ce681e36e1141aeb560d6e76bc796b7b7cb454e463ccb1f12de30a380101803f",
      "2001003ffe000a05",
      "2001:3f:fe00:a05:6615:ee45:d427:9a0",
    ],
    [
      "8233fdaeb5068bc14859d113a0edfcf8dc07814e3dd2765e6b5b82e04d070597",
      "2001003ffe000a05",
      "2001:3f:fe00:a05:260e:d437:6b25:6e28",
    ],
    [
      "c92e2f9d97e8960f9b5f1654f8b09039f9dadc5bcf061eac4f0cea79e8e877fa",
      "2001003ffe000a05",
      "2001:3f:fe00:a05:1308:2469:9a4b:c6b2",
    ],
  ])("key %s", (key, prefix, det) => {
    const hash = cshake128(concat(fromHex(prefix), fromHex(key)), {
      dkLen: 8,
      personalization: HHIT_CONTEXT_ID,
    });
    expect(formatIpv6(concat(fromHex(prefix), hash))).toBe(det);
  });
});

test.each([
  ["rsa-2048", 1, sha256, 10],
  ["ecdsa-p256", 2, sha384, 18],
  ["ecdsa-p384", 2, sha384, 18],
] as const)("%s: prefix, OGA %i, and the middle 96 bits of the hash", (kind, suite, hash, before) => {
  const { hit, hostIdentity } = Identity.generate(kind);
  const digest = hash(concat(CONTEXT_ID, hostIdentity));
  expect(digest.length - 12).toBe(2 * before);
  expect(hit).toBe(`2001002${suite}${toHex(digest.subarray(before, before + 12))}`);
  expect(suiteOfHit(hit)).toBe(suite);
});

test("the curve label is part of the hash input", () => {
  const { hostIdentity } = Identity.generate("ecdsa-p256");
  expect(hitText(7, hostIdentity)).not.toBe(hitText(7, hostIdentity.subarray(2)));
});

test("an algorithm without a supported suite has no HIT", () => {
  for (const algorithm of [0, 3, 9, 14]) expect(hitOf(algorithm, new Uint8Array(40)).ok).toBe(false);
});
