import { describe, expect, test } from "vitest";
import { type Node, Pair } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";

const config = { dhGroups: [7] };
type Who = "a" | "b";

/** Lets the network run while applications on `speakers` want to send, as the overlay would: probes find silence. */
function talk(pair: Pair, speakers: readonly Node[], limit = 90_000): void {
  const end = pair.now + limit;
  while (unusable(pair).length > 0) {
    if (pair.now > end) {
      throw new Error(`${unusable(pair).join(", ")}; a ${pair.a.state(pair.b)}, b ${pair.b.state(pair.a)}`);
    }
    for (const node of speakers) {
      pair.connect(node);
      pair.input(node, { type: "probe", peer: pair.other(node).hit });
    }
    pair.pass(250);
  }
}

function expectQuietAfterwards(pair: Pair): void {
  const made = pair.a.outboundKeys.length;
  pair.pass(30_000);
  expect(unusable(pair)).toEqual([]);
  expect(pair.a.outboundKeys.length).toBe(made);
  expect(problemsOf(pair)).toEqual([]);
}

function rebootNow(pair: Pair, who: Who): void {
  pair[who].reboot();
  pair.input(pair[who], { type: "timeout" });
}

/** Steps of virtual time at which something may be under way: packets take 10 ms. */
const MOMENTS = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 60];
const SPEAKERS: readonly (readonly Who[])[] = [["a"], ["b"], ["a", "b"]];

describe("a reboot ends in a working association (RFC 7401 4.5.4)", () => {
  const cases = (["a", "b"] as const).flatMap((who) =>
    SPEAKERS.flatMap((speakers) => MOMENTS.map((moment) => ({ who, speakers, moment }))),
  );

  test.each(cases)(
    "of $who, $moment ms into an exchange, then $speakers speak",
    ({ who, speakers, moment }) => {
      const pair = new Pair({ config });
      pair.connect(pair.a);
      pair.pass(moment);
      rebootNow(pair, who);
      talk(
        pair,
        speakers.map((name) => pair[name]),
      );
      expectQuietAfterwards(pair);
    },
  );

  test.each(cases.filter(({ moment }) => moment === 0))(
    "of $who after it, then $speakers speak",
    ({ who, speakers }) => {
      const pair = new Pair({ config }).establish();
      pair.pass(20_000);
      rebootNow(pair, who);
      expect(unusable(pair)).not.toEqual([]);
      talk(
        pair,
        speakers.map((name) => pair[name]),
      );
      expectQuietAfterwards(pair);
    },
  );

  test.each(SPEAKERS)("of both at once, then %s speaks", (...speakers) => {
    const pair = new Pair({ config }).establish();
    pair.pass(1_500);
    rebootNow(pair, "a");
    rebootNow(pair, "b");
    talk(
      pair,
      speakers.map((name) => pair[name]),
    );
    expectQuietAfterwards(pair);
  });

  test.each(["a", "b"] as const)("of %s while the association closes", (who) => {
    for (const moment of MOMENTS) {
      const pair = new Pair({ config }).establish();
      pair.close(pair.a);
      pair.pass(moment);
      rebootNow(pair, who);
      talk(pair, [pair[who]]);
      expectQuietAfterwards(pair);
    }
  });

  test("again and again: each association has keys of its own", () => {
    const pair = new Pair({ config }).establish();
    for (let n = 0; n < 8; n++) {
      pair.pass(n % 3 === 0 ? 100 : 1_500);
      rebootNow(pair, n % 2 === 0 ? "a" : "b");
      talk(pair, [pair.a, pair.b]);
    }
    expect(new Set(pair.a.outboundKeys).size).toBeGreaterThan(8);
    expectQuietAfterwards(pair);
  });

  test("R1s and I2s of before are worth nothing after it", () => {
    const pair = new Pair({ config }).establish();
    const history = [...pair.flights];
    pair.pass(1_500);
    rebootNow(pair, "b");
    for (const flight of history) pair.arrive(flight);
    pair.pass(100);
    expect(pair.b.state(pair.a)).toBe("UNASSOCIATED");
    expect(pair.b.sas.size).toBe(0);
    expect(pair.a.state(pair.b)).toBe("ESTABLISHED");
    talk(pair, [pair.b]);
    expectQuietAfterwards(pair);
  });
});
