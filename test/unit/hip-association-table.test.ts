/** Which association stands for a peer that has several, with several of our identities. */
import { describe, expect, it } from "vitest";
import type { Hit, Instant, Spi } from "../../src/core/types.ts";
import { Association } from "../../src/hip/association.ts";
import { AssociationTable } from "../../src/hip/association-table.ts";
import type { Session } from "../../src/hip/states.ts";

const hit = (digit: string): Hit => `2001002${digit.repeat(25)}` as Hit;
const [FIRST, SECOND, PEER, OTHER] = [hit("1"), hit("2"), hit("a"), hit("b")];
const OURS = [{ hit: FIRST }, { hit: SECOND }];
const NOW = 1 as Instant;

const blank = (local: Hit, peer = PEER): Association => new Association(local, peer, NOW);
const open = (local: Hit, peer = PEER, outbound = 0): Association => {
  const session = { outbound, former: [] } as unknown as Session;
  return Association.resumed(local, peer, { name: "ESTABLISHED", session }, NOW);
};

describe("the table of associations", () => {
  it("shows the latest one, but an open one rather than one that is not", () => {
    const table = new AssociationTable(9);
    const [one, two] = [blank(FIRST), blank(SECOND)];
    table.keep(one);
    table.keep(two);
    expect(table.of(PEER)).toBe(two);
    table.keep(one);
    expect(table.of(PEER)).toBe(one);
    table.remove(two, OURS);
    const better = open(SECOND);
    table.keep(better);
    table.keep(one);
    expect(table.of(PEER)).toBe(better);
    expect(table.allOf(PEER, OURS)).toEqual([one, better]);
    expect(table.get(FIRST, PEER)).toBe(one);
    table.remove(better, OURS);
    expect(table.of(PEER)).toBe(one);
    table.remove(one, OURS);
    expect(table.of(PEER)).toBeUndefined();
    expect(table.size).toBe(0);
  });

  it("finds all whose peers chose the same number", () => {
    const table = new AssociationTable(9);
    const [one, two] = [open(FIRST, PEER, 777), open(FIRST, OTHER, 777)];
    for (const each of [one, open(SECOND, PEER, 778), two, blank(SECOND, OTHER)]) table.keep(each);
    expect(table.byOutbound(777 as Spi)).toEqual([one, two]);
    expect(table.byOutbound(779 as Spi)).toEqual([]);
  });

  it("takes no more than its limit, and those that are in it again", () => {
    const table = new AssociationTable(2);
    const [one, two] = [blank(FIRST), open(FIRST, OTHER)];
    expect([table.keep(one), table.keep(two), table.full]).toEqual([true, true, true]);
    expect(table.keep(blank(SECOND))).toBe(false);
    expect(table.keep(two)).toBe(true);
    expect(table.size).toBe(2);
    expect(table.values()).toEqual([one, two]);
    expect(table.has(blank(FIRST))).toBe(false);
    table.remove(blank(FIRST), OURS);
    expect(table.size).toBe(2);
  });
});
