import { sha256 } from "@noble/hashes/sha2.js";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../src/core/bytes.ts";
import type { Hit } from "../../src/core/types.ts";
import { puzzleValid, solve } from "../../src/crypto/puzzle.ts";
import { rhashLength } from "../../src/crypto/suites.ts";

const hitI = "20010022111111111111111111111111" as Hit;
const hitR = "20010022222222222222222222222222" as Hit;

describe.each(["sha256", "sha384", "cshake128"] as const)("%s", (rhash) => {
  const size = rhashLength(rhash);
  const puzzle = { rhash, i: new Uint8Array(size).fill(0xa1), hitI, hitR, k: 10 };
  const start = new Uint8Array(size).fill(0xff);
  const found = solve({ ...puzzle, start, attempts: 100_000 });
  const j = found ?? new Uint8Array(size);

  test("what is solved is valid, for this puzzle only", () => {
    expect(found?.length).toBe(size);
    expect(puzzleValid({ ...puzzle, j })).toBe(true);
    expect(puzzleValid({ ...puzzle, j, k: 40 })).toBe(false);
    expect(puzzleValid({ ...puzzle, j, hitI: hitR, hitR: hitI })).toBe(false);
    expect(puzzleValid({ ...puzzle, j, i: new Uint8Array(size) })).toBe(false);
    expect(puzzleValid({ ...puzzle, j: start })).toBe(false);
  });

  test("lengths other than RHASH's are refused", () => {
    expect(puzzleValid({ ...puzzle, k: 0, j: j.subarray(1) })).toBe(false);
    expect(puzzleValid({ ...puzzle, k: 0, i: new Uint8Array(size + 1), j })).toBe(false);
    expect(solve({ ...puzzle, i: new Uint8Array(4), start, attempts: 9 })).toBeUndefined();
  });

  test("the search is bounded, and stands still at K = 0", () => {
    expect(solve({ ...puzzle, k: 8 * size, start, attempts: 50 })).toBeUndefined();
    expect(solve({ ...puzzle, k: 0, start, attempts: 1 })).toEqual(start);
    expect(solve({ ...puzzle, k: 0, start, attempts: 0 })).toBeUndefined();
    expect(solve({ ...puzzle, k: 255 * 8, start, attempts: 9 })).toBeUndefined();
    expect(puzzleValid({ ...puzzle, k: 0, j: start })).toBe(true);
    expect(puzzleValid({ ...puzzle, k: 8 * size + 1, j })).toBe(false);
  });
});

test("the search ends when its time is over (RFC 7401 6.8 step 12)", () => {
  const start = new Uint8Array(32);
  const began = performance.now();
  const hopeless = { rhash: "sha256", i: start, hitI, hitR, k: 200, start } as const;
  expect(solve({ ...hopeless, attempts: 2 ** 40, millis: 30 })).toBeUndefined();
  expect(performance.now() - began).toBeGreaterThanOrEqual(30);
});

test("the hash is over I | HIT-I | HIT-R | J, and its low-order bits count (RFC 7401 6.3)", () => {
  const i = new Uint8Array(32).fill(7);
  const digestOf = (j: Uint8Array) =>
    BigInt(`0x${toHex(sha256(concat(i, fromHex(hitI), fromHex(hitR), j)))}`);
  for (let n = 0; n < 2000; n++) {
    const j = fromHex(n.toString(16).padStart(64, "0"));
    for (const k of [1, 3, 8, 9]) {
      const expected = (digestOf(j) & ((1n << BigInt(k)) - 1n)) === 0n;
      expect(puzzleValid({ rhash: "sha256", i, hitI, hitR, k, j })).toBe(expected);
    }
  }
});

test("the search counts up from its start, over the end, and takes a start of another length", () => {
  const puzzle = { rhash: "sha256", i: new Uint8Array(32), hitI, hitR, k: 6 } as const;
  const start = new Uint8Array(32).fill(0xff);
  const found = solve({ ...puzzle, start, attempts: 10_000 });
  let value = 2n ** 256n - 1n;
  let first: string | undefined;
  while (first === undefined) {
    const j = fromHex(value.toString(16).padStart(64, "0"));
    if (puzzleValid({ ...puzzle, j })) first = toHex(j);
    value = (value + 1n) % 2n ** 256n;
  }
  expect(toHex(found ?? new Uint8Array())).toBe(first);
  expect(solve({ ...puzzle, start: new Uint8Array(48), attempts: 10_000 })?.length).toBe(32);
  expect(solve({ ...puzzle, start: new Uint8Array(4), attempts: 10_000 })?.length).toBe(32);
});
