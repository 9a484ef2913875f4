/** Wrong solutions (RFC 7401 4.1.1, 6.9 step 8): a hash each, and who sends many is heard less. */
import { describe, expect, test } from "vitest";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { get, parse, raw } from "../../src/wire/packet.ts";
import { SOLUTION } from "../../src/wire/rfc7401.ts";
import { Pair, pathBetween } from "../support/pair.ts";

const PUZZLES = { puzzle: { ...DEFAULT_CONFIG.puzzle, idleK: 12 } };

/** A pair whose first I2 is on its way to nowhere, and that I2. */
function begun(): { readonly pair: Pair; readonly i2: Uint8Array } {
  const pair = new Pair({ configB: PUZZLES });
  pair.filter = ({ name }) => name !== "I2";
  pair.connect(pair.a);
  pair.run(() => pair.count("I2") === 1);
  return { pair, i2: pair.sent(pair.a, "I2") as Uint8Array };
}

/** The same with another #J. */
function wrong(i2: Uint8Array, number: number): Uint8Array {
  const parsed = parse(i2);
  if (!parsed.ok) throw new Error("an I2 of our own does not parse");
  const solution = raw(parsed.value, SOLUTION);
  const size = get(parsed.value, SOLUTION)?.j.length;
  if (solution === undefined || size === undefined) throw new Error("an I2 without SOLUTION");
  const copy = i2.slice();
  const last = solution.offset + 4 + solution.contents.length - 1;
  copy[last] = (copy[last] as number) ^ 1;
  copy[last - 4] = number;
  return copy;
}

/** Wrong I2s, all at one moment. */
function flood(pair: Pair, i2: Uint8Array, count: number, address = pair.a.address): void {
  const path = { ...pathBetween(pair.b, pair.a), remote: { address, port: 10500 } };
  for (let i = 0; i < count; i++) pair.deliver(pair.b, wrong(i2, i), path);
}

const shunned = (pair: Pair): readonly string[] =>
  pair.b.outputs.flatMap((one) => (one.type === "shun" ? [one.address] : []));

describe("an address that answers puzzles wrongly", () => {
  test("is shunned from the ninth in a second on", () => {
    const { pair, i2 } = begun();
    flood(pair, i2, 8);
    expect(pair.b.drops("puzzle_unsolved")).toBe(8);
    expect(shunned(pair)).toEqual([]);
    flood(pair, i2, 1);
    expect(shunned(pair)).toEqual([pair.a.address]);
    expect(pair.b.heldJobs).toEqual([]);
  });

  test("is not for a few, again and again", () => {
    const { pair, i2 } = begun();
    for (let second = 0; second < 10; second++) {
      flood(pair, i2, 4);
      pair.now = (pair.now + 1_000) as never;
    }
    expect(pair.b.drops("puzzle_unsolved")).toBe(40);
    expect(shunned(pair)).toEqual([]);
  });

  test("must have heard the R1 there: with the puzzle of another address nobody is blamed", () => {
    const { pair, i2 } = begun();
    const elsewhere = Array.from({ length: 20 }, (_, i) => `203.0.113.${i}`);
    for (const address of elsewhere) flood(pair, i2, 20, address);
    // Of the 64 puzzles of an R1 another address may by chance have the same.
    expect(new Set(shunned(pair)).size).toBeLessThan(3);
    expect(pair.b.drops("puzzle_unknown")).toBeGreaterThan(300);
  });

  test("is not shunned for what somebody guesses who writes it on his packets: most of the puzzles are wrong", () => {
    const { pair, i2 } = begun();
    const others: Uint8Array[] = [];
    for (let i = 0; i < 63; i++) {
      const guess = i2.slice();
      const parsed = parse(i2);
      const solution = parsed.ok ? raw(parsed.value, SOLUTION) : undefined;
      guess[(solution?.offset ?? 0) + 8] = (guess[(solution?.offset ?? 0) + 8] as number) ^ (i + 1);
      others.push(guess);
    }
    const path = pathBetween(pair.b, pair.a);
    for (let round = 0; round < 12; round++) {
      for (const guess of others) pair.deliver(pair.b, guess, path);
      flood(pair, i2, 1);
    }
    expect(pair.b.drops("puzzle_unsolved")).toBe(12);
    expect(shunned(pair)).toEqual([]);
  });

  test("is still answered by the protocol itself: the right solution counts", () => {
    const { pair, i2 } = begun();
    flood(pair, i2, 20);
    pair.filter = () => true;
    pair.deliver(pair.b, i2);
    expect(pair.b.state(pair.a)).toBe("R2-SENT");
  });
});
