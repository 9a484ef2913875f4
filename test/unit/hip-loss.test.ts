import { describe, expect, test } from "vitest";
import { type Flight, Pair } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";

const config = { dhGroups: [7] };

function usable(pair: Pair): boolean {
  return unusable(pair).length === 0;
}

/** An application that goes on wanting to send, and a data plane that reports what arrives. */
function untilUsable(pair: Pair, limit = 60_000): void {
  const end = pair.now + limit;
  while (!usable(pair)) {
    if (pair.now > end) throw new Error(`not usable: ${unusable(pair).join(", ")}`);
    pair.connect(pair.a);
    pair.pass(100);
  }
}

describe("an exchange over a bad network", () => {
  const kinds = ["I1", "R1", "I2", "R2"].flatMap((kind) => [0, 1].map((count) => ({ kind, count })));

  test.each(kinds)("loses the first $kind, and $count more", ({ kind, count }) => {
    const pair = new Pair({ config });
    let lost = 0;
    pair.filter = ({ name }) => name !== kind || lost++ > count;
    pair.connect(pair.a);
    pair.run(() => usable(pair), 10_000);
    expect(lost).toBeGreaterThan(count + 1);
    expect(pair.a.events("association-failed")).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("whichever of the first six packets are lost", () => {
    for (let mask = 0; mask < 64; mask++) {
      const pair = new Pair({ config, seed: 1 + mask });
      let sent = 0;
      pair.filter = () => ((mask >> sent++) & 1) === 0;
      untilUsable(pair);
      expect(problemsOf(pair), `mask ${mask}`).toEqual([]);
    }
  });

  test("whichever of the first six packets are lost while both begin", () => {
    for (let mask = 0; mask < 64; mask++) {
      const pair = new Pair({ config, seed: 1 + mask });
      let sent = 0;
      pair.filter = () => ((mask >> sent++) & 1) === 0;
      pair.connect(pair.b);
      untilUsable(pair);
      expect(problemsOf(pair), `mask ${mask}`).toEqual([]);
    }
  });

  test("every packet comes twice", () => {
    const pair = new Pair({ config });
    const twice: Flight[] = [];
    pair.filter = (flight) => {
      twice.push(flight);
      return true;
    };
    pair.connect(pair.a);
    pair.run(() => {
      for (const flight of twice.splice(0)) pair.arrive(flight);
      return usable(pair) && pair.now > 2_000;
    }, 20_000);
    expect(pair.a.outboundKeys).toHaveLength(1);
    expect(pair.b.outboundKeys).toHaveLength(1);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("every packet comes again, long after", () => {
    const pair = new Pair({ config }).establish();
    const sas = [...pair.a.sas.keys(), ...pair.b.sas.keys()];
    const history = [...pair.flights];
    for (const wait of [0, 500, 5_000, 20_000]) {
      pair.pass(wait);
      for (const flight of history) pair.arrive(flight);
      pair.pass(2_000);
      expect([...pair.a.sas.keys(), ...pair.b.sas.keys()]).toEqual(sas);
      expect(unusable(pair)).toEqual([]);
    }
    // In R2-SENT the repeated I2 is answered with the same R2 (6.9 step 4), and nothing is derived anew.
    expect(pair.count("R2", pair.b)).toBe(4);
    expect(new Set(pair.flights.filter(({ name }) => name === "R2").map(({ bytes }) => bytes)).size).toBe(1);
    expect(pair.a.outboundKeys).toHaveLength(1);
    expect(problemsOf(pair)).toEqual([]);
  });

  test.each([0, 1, 2, 3, 4, 5])("packet %i comes after those that follow it", (which) => {
    const pair = new Pair({ config });
    let sent = 0;
    let late: Flight | undefined;
    pair.filter = (flight) => {
      if (sent++ !== which) return true;
      late = flight;
      return false;
    };
    pair.connect(pair.a);
    pair.connect(pair.b);
    pair.pass(1_500);
    if (late !== undefined) pair.arrive(late);
    pair.run(() => usable(pair), 20_000);
    pair.pass(5_000);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("a slow path whose round trip is longer than the retransmission timer", () => {
    const pair = new Pair({ config });
    pair.latency = 700;
    pair.connect(pair.a);
    pair.run(() => usable(pair), 20_000);
    pair.pass(10_000);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("an R1 that was changed on its way is waited out (6.8.1)", () => {
    const pair = new Pair({ config });
    let changed = 0;
    pair.filter = ({ name, bytes }) => {
      if (name !== "R1" || changed++ > 0) return true;
      const copy = bytes.slice();
      copy[copy.length - 20] = (copy[copy.length - 20] as number) ^ 1;
      return copy;
    };
    pair.connect(pair.a);
    pair.run(() => usable(pair), 5_000);
    expect(pair.a.drops("signature")).toBe(1);
    expect(pair.count("NOTIFY")).toBe(0);
  });
});
