/** The LSI map: a bijection that never changes, for any HITs and any prefix with room. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contains, formatPrefix, type Prefix, parseIpv4 } from "../../src/core/ip.ts";
import type { Hit, Lsi } from "../../src/core/types.ts";
import { LsiMap } from "../../src/overlay/lsi.ts";

const digits = fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 24, maxLength: 24 });
const hit = digits.map((text) => `20010022${text}` as Hit);
const SELF = "20010022ffffffffffffffffffffffff" as Hit;

/** A prefix of this length in 10.0.0.0/8, aligned. */
function prefixOf(length: number, seed: number): Prefix {
  const value = (0x0a00_0000 + (length <= 8 ? 0 : (seed % 2 ** (length - 8)) << (32 - length))) >>> 0;
  return { bytes: Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value), length };
}

const prefix = fc
  .tuple(fc.integer({ min: 8, max: 28 }), fc.nat(1000))
  .map(([length, n]) => prefixOf(length, n));

function create(where: Prefix, limit?: number): LsiMap {
  const map = LsiMap.create(where, SELF, limit);
  if (!map.ok) throw new Error(map.error);
  return map.value;
}

function reload(map: LsiMap, where: Prefix = map.prefix): LsiMap {
  const saved = JSON.parse(JSON.stringify(map.saved())) as ReturnType<LsiMap["saved"]>;
  const loaded = LsiMap.load(where, SELF, saved);
  if (!loaded.ok) throw new Error(loaded.error);
  return loaded.value;
}

describe("the LSI map", () => {
  it("gives different HITs different LSIs inside of the prefix, and finds both from each other", () => {
    fc.assert(
      fc.property(prefix, fc.uniqueArray(hit, { maxLength: 13 }), (where, hits) => {
        const map = create(where);
        const lsis = hits.map((one) => map.assign(one)).map((result) => (result.ok ? result.value : ""));
        expect(new Set(lsis).size).toBe(hits.length);
        for (const [i, lsi] of lsis.entries()) {
          const bytes = parseIpv4(lsi);
          expect(bytes !== undefined && contains(where, bytes)).toBe(true);
          expect(lsi).not.toBe(map.own);
          expect(map.hit(lsi as Lsi)).toBe(hits[i]);
          expect(map.lsi(hits[i] as Hit)).toBe(lsi);
        }
      }),
    );
  });

  it("never uses the network or broadcast address, and fills a small prefix to the last place", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 24, max: 30 }),
        fc.uniqueArray(hit, { minLength: 260, maxLength: 260 }),
        (length, hits) => {
          const where = prefixOf(length, 5);
          const map = create(where);
          const hosts = 2 ** (32 - length);
          expect(map.room).toBe(hosts - 3);
          const given = hits.map((one) => map.assign(one));
          expect(given.filter(({ ok }) => ok)).toHaveLength(Math.min(hits.length, hosts - 3));
          const last = new Set([...given.flatMap((result) => (result.ok ? [result.value] : [])), map.own]);
          for (const lsi of last) {
            const index = (parseIpv4(lsi)?.reduce((value, byte) => value * 256 + byte, 0) as number) % hosts;
            expect(index).toBeGreaterThan(0);
            expect(index).toBeLessThan(hosts - 1);
          }
          const refused = given.find((result) => !result.ok);
          if (refused !== undefined && !refused.ok) expect(refused.error).toContain("network.lsi_prefix");
        },
      ),
      { numRuns: 20 },
    );
  });

  it("is the same after it was saved and loaded, whatever is asked first afterwards", () => {
    fc.assert(
      fc.property(
        prefix,
        fc.uniqueArray(hit, { maxLength: 10 }),
        fc.uniqueArray(hit, { maxLength: 3 }),
        (where, hits, late) => {
          const map = create(where);
          const before = hits.map((one) => map.assign(one));
          const loaded = reload(map);
          for (const one of late) loaded.assign(one);
          expect(loaded.own).toBe(map.own);
          expect(hits.map((one) => loaded.assign(one))).toEqual(before);
        },
      ),
    );
  });

  it("depends on the HIT alone while there is no collision", () => {
    const where = prefixOf(15, 0);
    fc.assert(
      fc.property(fc.uniqueArray(hit, { minLength: 1, maxLength: 4 }), (hits) => {
        const alone = hits.map((one) => create(where).assign(one));
        if (new Set(alone.map((result) => (result.ok ? result.value : ""))).size < hits.length) return;
        const map = create(where);
        expect(
          hits
            .toReversed()
            .map((one) => map.assign(one))
            .toReversed(),
        ).toEqual(alone);
      }),
    );
  });

  it("survives a damaged state file: what does not fit is left out", () => {
    const text = fc.oneof(fc.string(), hit, fc.ipV4());
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text)), fc.ipV4(), (lsis, ownLsi) => {
        const where = prefixOf(8, 0);
        const loaded = LsiMap.load(where, SELF, { lsiPrefix: formatPrefix(where), ownLsi, lsis });
        expect(loaded.ok).toBe(true);
        if (!loaded.ok) return;
        const given = loaded.value.saved().lsis;
        expect(new Set(given.map(([one]) => one)).size).toBe(given.length);
        expect(new Set(given.map(([, lsi]) => lsi)).size).toBe(given.length);
        for (const [, lsi] of given) expect(lsi).not.toBe(loaded.value.own);
      }),
    );
  });

  it("gives no LSI to two HITs because a state file does", () => {
    const where = prefixOf(15, 0);
    const [one, two] = ["20010022000000000000000000000001", "20010022000000000000000000000002"] as [Hit, Hit];
    const lsis = [one, two, one].map((hit) => [hit, "10.0.0.9"] as const);
    const saved = { lsiPrefix: formatPrefix(where), ownLsi: "10.0.0.1", lsis };
    const loaded = LsiMap.load(where, SELF, saved);
    if (!loaded.ok) throw new Error(loaded.error);
    expect(loaded.value.saved().lsis).toEqual([[one, "10.0.0.9"]]);
    expect(loaded.value.lsi(two)).toBeUndefined();
  });

  it("starts anew with a smaller prefix, although the old LSIs are in it", () => {
    const map = create(prefixOf(16, 0));
    const one = "20010022000000000000000000000001" as Hit;
    map.assign(one);
    expect(reload(map, { ...map.prefix, length: 15 }).size).toBe(0);
  });

  it("starts anew with another prefix", () => {
    const map = create(prefixOf(15, 0));
    const one = "20010022000000000000000000000001" as Hit;
    map.assign(one);
    const moved = reload(map, prefixOf(16, 7));
    expect(moved.size).toBe(0);
    const lsi = moved.assign(one);
    expect(lsi.ok && contains(prefixOf(16, 7), parseIpv4(lsi.value) as Uint8Array)).toBe(true);
  });

  it("refuses a prefix without room, and IPv6", () => {
    for (const length of [31, 32]) {
      const made = LsiMap.create(prefixOf(length, 0), SELF);
      expect(made).toMatchObject({ ok: false, error: expect.stringContaining("/30") as string });
    }
    expect(LsiMap.create({ bytes: new Uint8Array(16), length: 64 }, SELF).ok).toBe(false);
  });

  it("keeps its limit", () => {
    const map = create(prefixOf(8, 0), 2);
    expect(["0", "1", "2"].map((n) => map.assign(`2001002200000000000000000000000${n}` as Hit).ok)).toEqual([
      true,
      true,
      false,
    ]);
  });
});
