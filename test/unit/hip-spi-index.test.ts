/** SPIs find their associations, also where two peers chose the same number, and leave nothing behind. */
import { describe, expect, it } from "vitest";
import type { Hit, Spi } from "../../src/core/types.ts";
import { associationKey } from "../../src/hip/association-table.ts";
import type { HostOutput } from "../../src/hip/io.ts";
import type { SaSpec } from "../../src/hip/sa.ts";
import { SpiIndex } from "../../src/hip/spi-index.ts";
import { SeededRandom } from "../support/random.ts";

const hit = (digit: string): Hit => `2001002${digit.repeat(25)}` as Hit;
const [LOCAL, OTHER, A, B, C] = [hit("1"), hit("2"), hit("a"), hit("b"), hit("c")];
const spi = (number: number): Spi => number as Spi;

function added(direction: "in" | "out", peerHit: Hit, number: number, lsiSpi?: number): HostOutput {
  const nothing = new Uint8Array(0);
  const sa = {
    direction,
    spi: spi(number),
    lsiSpi: lsiSpi === undefined ? undefined : spi(lsiSpi),
    suite: 13,
    encryptionKey: nothing,
    integrityKey: nothing,
    localHit: LOCAL,
    peerHit,
  } as unknown as SaSpec;
  return { type: "sa-add", sa };
}

function dropped(direction: "in" | "out", peer: Hit, number: number): HostOutput {
  return { type: "sa-drop", spi: spi(number), direction, peer };
}

describe("the index of SPIs", () => {
  it("finds an association by both SPIs of its inbound SA", () => {
    const index = new SpiIndex(new SeededRandom(1));
    index.follow("a", [added("in", A, 1000, 2000)]);
    expect([index.inbound(spi(1000)), index.inbound(spi(2000))]).toEqual(["a", "a"]);
    index.follow("a", [dropped("in", A, 1000)]);
    expect(index.inbound(spi(2000))).toBeUndefined();
    expect(index.size).toBe(0);
  });

  it("finds all whose peers chose the same number, and drops each alone", () => {
    const index = new SpiIndex(new SeededRandom(1));
    const [a, b, c] = [A, B, C].map((peer) => associationKey(LOCAL, peer)) as [string, string, string];
    index.follow(a, [added("out", A, 777)]);
    expect(index.outbound(spi(777))).toEqual([a]);
    index.follow(b, [added("out", B, 777)]);
    index.follow(c, [added("out", C, 777)]);
    expect(index.outbound(spi(777))).toEqual([a, b, c]);
    index.follow(b, [dropped("out", B, 777)]);
    expect(index.outbound(spi(777))).toEqual([a, c]);
    index.follow(a, [dropped("out", A, 777)]);
    index.follow(c, [dropped("out", C, 777), dropped("out", C, 777)]);
    expect(index.outbound(spi(777))).toEqual([]);
    expect(index.size).toBe(0);
  });

  it("keeps the latest of several associations with one peer under one number", () => {
    const index = new SpiIndex(new SeededRandom(1));
    const [first, second] = [associationKey(LOCAL, A), associationKey(OTHER, A)];
    index.follow(first, [added("out", A, 777)]);
    index.follow(second, [added("out", A, 777)]);
    expect(index.outbound(spi(777))).toEqual([second]);
  });
});
