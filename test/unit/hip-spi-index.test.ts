/** Our SPIs find their associations, and leave nothing behind. */
import { describe, expect, it } from "vitest";
import type { Hit, Spi } from "../../src/core/types.ts";
import type { HostOutput } from "../../src/hip/io.ts";
import type { SaSpec } from "../../src/hip/sa.ts";
import { SpiIndex } from "../../src/hip/spi-index.ts";
import { SeededRandom } from "../support/random.ts";

const hit = (digit: string): Hit => `2001002${digit.repeat(25)}` as Hit;
const [LOCAL, A] = [hit("1"), hit("a")];
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
    const a = { peer: A };
    index.follow(a, [added("in", A, 1000, 2000)]);
    expect(index.inbound(spi(1000))).toBe(a);
    expect(index.inbound(spi(2000))).toBe(a);
    index.follow(a, [dropped("in", A, 1000)]);
    expect(index.inbound(spi(2000))).toBeUndefined();
    expect(index.size).toBe(0);
    index.follow(a, [added("out", A, 777)]);
    expect(index.inbound(spi(777))).toBeUndefined();
  });
});
