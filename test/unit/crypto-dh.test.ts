import { describe, expect, test } from "vitest";
import { concat, equal, fromHex, toHex } from "../../src/core/bytes.ts";
import { agree, type DhKey, generateDh, supportedDhGroups } from "../../src/crypto/dh.ts";

const WIDTH: Readonly<Record<number, { readonly value: number; readonly kij: number }>> = {
  7: { value: 64, kij: 32 },
  8: { value: 96, kij: 48 },
  9: { value: 132, kij: 66 },
  4: { value: 384, kij: 384 },
  3: { value: 192, kij: 192 },
};

function kij(key: DhKey, peer: Uint8Array): Uint8Array {
  const agreed = agree(key, peer);
  if (!agreed.ok) throw new Error(agreed.error);
  return agreed.value;
}

function refusal(key: DhKey, peer: Uint8Array): string {
  const agreed = agree(key, peer);
  return agreed.ok ? "" : agreed.error;
}

test("the groups are 7, 8, 9, 4 and 3; SECP160R1 (10) is none of them", () => {
  expect(supportedDhGroups).toEqual([7, 8, 9, 4, 3]);
  expect(() => generateDh(10)).toThrow("DH group 10 is not supported");
  const { publicValue, privateKey } = generateDh(7);
  expect(refusal({ group: 10, publicValue, privateKey }, publicValue)).toBe("DH group 10 is not supported");
});

describe.each(supportedDhGroups)("group %i", (group) => {
  const [a, b] = [generateDh(group), generateDh(group)];
  const width = WIDTH[group];

  test("both ends agree, in fixed widths, and the keys are plain data", () => {
    expect(a.publicValue.length).toBe(width?.value);
    expect(toHex(kij(a, b.publicValue))).toBe(toHex(kij(b, a.publicValue)));
    expect(kij(a, b.publicValue).length).toBe(width?.kij);
    expect(equal(a.publicValue, b.publicValue)).toBe(false);
    const copy = structuredClone(a);
    expect(toHex(kij(copy, b.publicValue))).toBe(toHex(kij(a, b.publicValue)));
    for (const bytes of [a.publicValue, a.privateKey]) expect(bytes.constructor).toBe(Uint8Array);
  });

  test("a value of another length is refused", () => {
    for (const peer of [new Uint8Array(0), new Uint8Array((width?.value ?? 0) + 1)]) {
      expect(refusal(a, peer)).toMatch(/the public value has \d+ bytes, not \d+/);
    }
  });

  test("all zeros and all ones are refused", () => {
    for (const byte of [0x00, 0xff]) {
      expect(refusal(a, new Uint8Array(width?.value ?? 0).fill(byte))).toMatch(/^DH group/);
    }
  });
});

describe.each([7, 8, 9])("group %i", (group) => {
  test("a point without its first byte is refused", () => {
    const key = generateDh(group);
    expect(refusal(key, key.publicValue.subarray(1))).toMatch(/the public value has \d+ bytes, not \d+$/);
  });

  test("a point off the curve is refused", () => {
    const key = generateDh(group);
    const peer = generateDh(group).publicValue;
    peer[peer.length - 1] = (peer[peer.length - 1] as number) ^ 1;
    expect(refusal(key, peer)).toBe(`DH group ${group}: the point is not on the curve`);
  });
});

test("a key is good for as long as it is wanted, however many were made since", () => {
  const [old, peer] = [generateDh(7), generateDh(7)];
  const before = toHex(kij(old, peer.publicValue));
  for (let i = 0; i < 100; i++) generateDh(7);
  expect(toHex(kij(old, peer.publicValue))).toBe(before);
  expect(toHex(kij(structuredClone(old), peer.publicValue))).toBe(before);
});

test("a private key of another kind gives a refusal", () => {
  const [key, other] = [generateDh(7), generateDh(8)];
  for (const privateKey of [other.privateKey, key.privateKey.subarray(1), new Uint8Array(0)]) {
    expect(refusal({ ...key, privateKey }, key.publicValue)).toBe(
      "DH group 7: no agreement with this public value",
    );
  }
});

test("Kij keeps its leading zeros (RFC 7401 6.5)", () => {
  const a = generateDh(7);
  for (let i = 0; i < 20_000; i++) {
    const shared = kij(a, generateDh(7).publicValue);
    expect(shared.length).toBe(32);
    if (shared[0] === 0) return;
  }
  throw new Error("no Kij began with a zero byte");
});

describe.each([3, 4])("group %i: the checks of RFC 2785 3.1", (group) => {
  const key = generateDh(group);
  const width = WIDTH[group]?.value ?? 0;
  const prime = primeOf(key);
  const bytesOf = (value: bigint) => fromHex(value.toString(16).padStart(2 * width, "0"));

  test.each([
    ["0", 0n],
    ["1", 1n],
    ["p - 1", prime - 1n],
    ["p", prime],
    ["p + 1", prime + 1n],
  ])("%s is refused", (_, value) => {
    expect(refusal(key, bytesOf(value))).toMatch(/not between 2 and p - 2$/);
  });

  test("the square of a value is in the subgroup, its negative is not", () => {
    const value = 0x1234_5678_9abcn;
    expect(refusal(key, bytesOf(value * value))).toBe("");
    // p = 3 mod 4: -1 is no residue.
    expect(refusal(key, bytesOf(prime - value * value))).toMatch(/not in the generator's subgroup$/);
  });

  test("a value without its leading zeros is the same value", () => {
    const square = bytesOf(0x1234_5678_9abcn ** 2n);
    const stripped = square.subarray(square.findIndex((byte) => byte !== 0));
    expect(toHex(kij(key, stripped))).toBe(toHex(kij(key, square)));
    expect(refusal(key, concat(Uint8Array.of(0), square))).toMatch(/has \d+ bytes, not 1 to \d+$/);
    for (const length of [1, 5, width]) {
      expect(refusal(key, new Uint8Array(length))).toMatch(/not between 2 and p - 2$/);
    }
  });

  test("every generated value is in the subgroup", () => {
    for (let i = 0; i < 20; i++) expect(refusal(key, generateDh(group).publicValue)).toBe("");
  });
});

/** The prime in the PKCS#8 of a key: the first INTEGER that is long enough. */
function primeOf(key: DhKey): bigint {
  const hex = toHex(key.privateKey);
  const width = key.publicValue.length;
  const start = hex.indexOf(`00${"ff".repeat(8)}`) + 2;
  return BigInt(`0x${hex.slice(start, start + 2 * width)}`);
}
