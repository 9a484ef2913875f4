import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../src/core/bytes.ts";
import type { Hit } from "../../src/core/types.ts";
import { associationKeys, espKeyBytes, espKeys, hkdf, Keymat, keymatLimit } from "../../src/crypto/keymat.ts";
import { ESP_SUITES, type Rhash, rhashLength } from "../../src/crypto/suites.ts";

const lesser = "20010022111111111111111111111111" as Hit;
const greater = "20010022ff0000000000000000000000" as Hit;

function input(rhash: Rhash, swapped = false) {
  const size = rhashLength(rhash);
  return {
    rhash,
    kij: new Uint8Array(32).fill(1),
    hitI: swapped ? greater : lesser,
    hitR: swapped ? lesser : greater,
    i: new Uint8Array(size).fill(2),
    j: new Uint8Array(size).fill(3),
  };
}

describe.each(["sha256", "sha384", "cshake128"] as const)("KEYMAT with %s", (rhash) => {
  const { kij, i, j } = input(rhash);
  const whole = hkdf(rhash, concat(i, j), kij, concat(fromHex(lesser), fromHex(greater)), keymatLimit(rhash));

  test("is HKDF with salt I | J and the sorted HITs as info, in whatever pieces it is drawn", () => {
    const keymat = new Keymat(input(rhash));
    const drawn: Uint8Array[] = [];
    for (const length of [1, 0, 15, 16, 33, 64, 100, 7]) drawn.push(keymat.draw(length));
    expect(toHex(concat(...drawn))).toBe(toHex(whole.subarray(0, 236)));
    expect(keymat.index).toBe(236);
  });

  test("does not depend on who was the Initiator", () => {
    expect(toHex(new Keymat(input(rhash, true)).draw(64))).toBe(toHex(new Keymat(input(rhash)).draw(64)));
  });

  test("is taken up again at an index", () => {
    const keymat = new Keymat({ ...input(rhash), index: 77 });
    expect(toHex(keymat.draw(40))).toBe(toHex(whole.subarray(77, 117)));
    expect(keymat.index).toBe(117);
  });

  test("ends after 255 blocks, and says so before", () => {
    const limit = 255 * rhashLength(rhash);
    const keymat = new Keymat({ ...input(rhash), index: limit - 10 });
    expect(keymat.remaining).toBe(10);
    expect(() => keymat.draw(11)).toThrow(RangeError);
    expect(toHex(keymat.draw(10))).toBe(toHex(whole.subarray(limit - 10)));
    expect(keymat.remaining).toBe(0);
    expect(new Keymat({ ...input(rhash), index: 65535 }).remaining).toBe(0);
  });

  test.each([
    [2, 16],
    [4, 32],
  ] as const)(
    "cipher %i: the greater HIT's keys come first, encryption before integrity",
    (cipher, keyBytes) => {
      const size = rhashLength(rhash);
      const cuts = [0, keyBytes, keyBytes + size, 2 * keyBytes + size, 2 * keyBytes + 2 * size];
      const [encryptG, macG, encryptL, macL] = cuts.map((from, n) =>
        toHex(whole.subarray(from, cuts[n + 1])),
      );
      const keysOf = (local: Hit, peer: Hit) => {
        const keymat = new Keymat(input(rhash));
        const keys = associationKeys(keymat, cipher, rhash, local, peer);
        expect(keymat.index).toBe(cuts[4]);
        return Object.fromEntries(
          Object.entries(keys).map(([name, key]) => [name, toHex(key as Uint8Array)]),
        );
      };
      expect(keysOf(greater, lesser)).toEqual({
        encryptOut: encryptG,
        macOut: macG,
        encryptIn: encryptL,
        macIn: macL,
      });
      expect(keysOf(lesser, greater)).toEqual({
        encryptOut: encryptL,
        macOut: macL,
        encryptIn: encryptG,
        macIn: macG,
      });
    },
  );
});

describe("ESP keys (RFC 7402 7)", () => {
  test.each([
    [7, 0, 32],
    [8, 16, 32],
    [9, 32, 32],
    [12, 20, 0],
    [13, 20, 0],
  ] as const)("suite %i takes %i and %i bytes for each direction", (suite, encryption, integrity) => {
    const at = 160;
    const whole = new Keymat({ ...input("sha384"), index: at }).draw(2 * (encryption + integrity));
    const keymat = new Keymat({ ...input("sha384"), index: at });
    const ours = espKeys(keymat, suite, greater, lesser);
    expect(keymat.index - at).toBe(espKeyBytes(suite));
    const pieces = [ours.outbound, ours.inbound].flatMap((key) => [key.encryptionKey, key.integrityKey]);
    expect(pieces.map(({ length }) => length)).toEqual([encryption, integrity, encryption, integrity]);
    expect(toHex(concat(...pieces))).toBe(toHex(whole));
    const theirs = espKeys(new Keymat({ ...input("sha384"), index: at }), suite, lesser, greater);
    expect(theirs).toEqual({ outbound: ours.inbound, inbound: ours.outbound });
  });

  test("the table of suites is complete", () => {
    expect(ESP_SUITES.map(({ id }) => id)).toEqual([13, 12, 9, 8, 7]);
  });
});
