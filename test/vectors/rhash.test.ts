/** Hashes and keyed hashes: NIST SP 800-185 samples, FIPS 180-4 examples, RFC 4231, and @noble/hashes beside OpenSSL. */
import { hmac as nobleHmac } from "@noble/hashes/hmac.js";
import { sha256, sha384 } from "@noble/hashes/sha2.js";
import { cshake128, kmac128 } from "@noble/hashes/sha3-addons.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex, utf8 } from "../../src/core/bytes.ts";
import { hmac, rhash } from "../../src/crypto/rhash.ts";
import { rhashLength } from "../../src/crypto/suites.ts";

const empty = new Uint8Array(0);

describe("cSHAKE128", () => {
  test("SP 800-185 sample 1", () => {
    const digest = cshake128(fromHex("00010203"), { dkLen: 32, personalization: utf8("Email Signature") });
    expect(toHex(digest)).toBe("c1c36925b6409a04f1b504fcbca9d82b4017277cb5ed2b2065fc1d3814d5aaf5");
  });

  test("RHASH of suite 5 is SHAKE128, which is cSHAKE128 without customization", () => {
    expect(toHex(rhash("cshake128", empty))).toBe(
      "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(toHex(rhash("cshake128", bytes))).toBe(toHex(cshake128(bytes, { dkLen: 32 })));
      }),
    );
  });
});

describe("KMAC128", () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => 0x40 + i);

  test("SP 800-185 sample 1", () => {
    expect(toHex(hmac("cshake128", key, fromHex("00010203")))).toBe(
      "e5780b0d3ea6f7d3a429c5706aa43a00fadbd7d49628839e3187243f456ee14e",
    );
  });

  test("SP 800-185 sample 2: @noble/hashes with a customization", () => {
    const mac = kmac128(key, fromHex("00010203"), {
      dkLen: 32,
      personalization: utf8("My Tagged Application"),
    });
    expect(toHex(mac)).toBe("3b1fba963cd8b0b59e8c1a6d71888b7143651af8ba0a7070c0979e2811324aa5");
  });
});

describe("SHA-2", () => {
  test("FIPS 180-4: abc", () => {
    expect(toHex(rhash("sha256", utf8("abc")))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    expect(toHex(rhash("sha384", utf8("abc")))).toBe(
      "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    );
  });

  test("RFC 4231 4.3: HMAC with the key Jefe", () => {
    const data = utf8("what do ya want for nothing?");
    expect(toHex(hmac("sha256", utf8("Jefe"), data))).toBe(
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    expect(toHex(hmac("sha384", utf8("Jefe"), data))).toBe(
      "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
    );
  });

  test("agrees with @noble/hashes", () => {
    const bytes = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(bytes, bytes, (key, data) => {
        expect(toHex(hmac("sha256", key, data))).toBe(toHex(nobleHmac(sha256, key, data)));
        expect(toHex(hmac("sha384", key, data))).toBe(toHex(nobleHmac(sha384, key, data)));
      }),
    );
  });
});

test.each(["sha256", "sha384", "cshake128"] as const)("%s has the length that suites.ts says", (name) => {
  expect(rhash(name, empty).length).toBe(rhashLength(name));
  expect(hmac(name, empty, empty).length).toBe(rhashLength(name));
});
