import { beforeEach, describe, expect, test, vi } from "vitest";
import { DEFAULT_CONFIG, type HostConfig } from "../../src/hip/config.ts";
import { Difficulty } from "../../src/hip/difficulty.ts";
import { i1 } from "../../src/hip/messages.ts";
import { get, raw } from "../../src/wire/packet.ts";
import { PUZZLE, R1_COUNTER, SOLUTION } from "../../src/wire/rfc7401.ts";
import { changed, changeR1s, damaged, i2Of, r1Of, read, replacing } from "../support/packets.ts";
import { identity, type Node, Pair, pathBetween } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";

vi.mock("../../src/crypto/puzzle.ts", { spy: true });
const { puzzleValid } = await import("../../src/crypto/puzzle.ts");

const { timers } = DEFAULT_CONFIG;
const puzzle = { ...DEFAULT_CONFIG.puzzle, idleK: 4 };
const config = { dhGroups: [7], puzzle };

function hashes(): number {
  return vi.mocked(puzzleValid).mock.calls.length;
}

function jobs(node: Node): number {
  return node.outputs.filter(({ type }) => type === "job").length;
}

function lastDrop(node: Node): string | undefined {
  return node.outputs.findLast((output) => output.type === "drop")?.reason;
}

beforeEach(() => void vi.mocked(puzzleValid).mockClear());

describe("an I2's solution (RFC 7401 6.9 step 8)", () => {
  const SOLUTION_K = 0;
  const SOLUTION_OPAQUE = 2;
  const SOLUTION_I = 4;
  const SOLUTION_J = 4 + 48;

  test("costs one hash, and no job before it is right", () => {
    const pair = new Pair({ config });
    pair.deliver(pair.b, i2Of(pair.a, r1Of(pair, pair.b, pair.a)));
    expect(hashes()).toBe(1);
    expect(pair.b.state(pair.a)).toBe("R2-SENT");
  });

  test.each([
    ["another K", SOLUTION_K, "puzzle_unknown", 0],
    ["another Opaque", SOLUTION_OPAQUE, "r1_unknown", 0],
    ["another #I", SOLUTION_I, "puzzle_unknown", 0],
    // Of 16 numbers one is right, so that several are tried.
    ["another #J", SOLUTION_J, "puzzle_unsolved", 1],
  ])("with %s is dropped silently, before anything expensive", (_name, at, reason, cost) => {
    const pair = new Pair({ config: { ...config, puzzle: { ...puzzle, idleK: 10 } } });
    const i2 = damaged(i2Of(pair.a, r1Of(pair, pair.b, pair.a)), SOLUTION.type, at);
    const before = jobs(pair.b);
    pair.deliver(pair.b, i2);
    expect(lastDrop(pair.b)).toBe(reason);
    expect(hashes()).toBe(cost);
    expect(jobs(pair.b)).toBe(before);
    expect(pair.flights).toEqual([]);
    expect(pair.b.host.associations()).toEqual([]);
  });

  test("without one it is dropped", () => {
    const pair = new Pair({ config });
    const i2 = changed(i2Of(pair.a, r1Of(pair, pair.b, pair.a)), (all) =>
      all.filter(({ type }) => type !== SOLUTION.type),
    );
    pair.deliver(pair.b, i2);
    expect(lastDrop(pair.b)).toBe("i2_incomplete");
    expect(pair.flights).toEqual([]);
  });

  test("is bound to the Initiator's address and HIT (4.1.1)", () => {
    const pair = new Pair({ config });
    const r1 = r1Of(pair, pair.b, pair.a);
    const i2 = i2Of(pair.a, r1);
    let refused = 0;
    for (let n = 0; n < 20; n++) {
      const path = { ...pathBetween(pair.b, pair.a), remote: { address: `203.0.113.${n}`, port: 10500 } };
      const before = pair.b.drops("puzzle_unknown");
      pair.deliver(pair.b, i2, path);
      refused += pair.b.drops("puzzle_unknown") - before;
      // One in 64 addresses shares a puzzle.
      if (pair.b.state(pair.a) !== "UNASSOCIATED") pair.input(pair.b, { type: "forget", peer: pair.a.hit });
    }
    expect(refused).toBeGreaterThan(10);
  });

  test("R1_COUNTER must be that of the R1; a missing one is tolerated (step 7)", () => {
    const pair = new Pair({ config });
    const i2 = i2Of(pair.a, r1Of(pair, pair.b, pair.a));
    pair.deliver(pair.b, damaged(i2, R1_COUNTER.type, 11));
    expect(lastDrop(pair.b)).toBe("r1_counter");
    expect(hashes()).toBe(0);
  });

  test("R1_COUNTER is echoed verbatim, Reserved included (5.2.3)", () => {
    const pair = new Pair({ config });
    const counter = Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 9);
    changeR1s(pair, pair.b, replacing({ type: R1_COUNTER.type, contents: counter }));
    pair.establish(pair.a);
    const echoed = raw(read(pair.sent(pair.a, "I2")), R1_COUNTER);
    expect(echoed?.contents).toEqual(counter);
  });
});

describe("the same I2 again never makes the same keys again (4.1.2)", () => {
  /** b has answered an I2 of a. */
  function answered(): { readonly pair: Pair; readonly i2: Uint8Array } {
    const pair = new Pair({ config }).establish();
    return { pair, i2: pair.sent(pair.a, "I2") as Uint8Array };
  }

  function keys(pair: Pair): number {
    return pair.b.outboundKeys.length;
  }

  test("in R2-SENT it gets the same R2, in ESTABLISHED nothing", () => {
    const { pair, i2 } = answered();
    const r2 = pair.sent(pair.b, "R2");
    pair.deliver(pair.b, i2);
    pair.pass(15_000);
    expect(pair.b.state(pair.a)).toBe("ESTABLISHED");
    pair.deliver(pair.b, i2);
    expect(pair.count("R2")).toBe(2);
    expect(pair.sent(pair.b, "R2")).toEqual(r2);
    expect(pair.b.drops("i2_replayed")).toBe(1);
    expect(keys(pair)).toBe(1);
  });

  test.each([
    [
      "CLOSING",
      "i2_replayed",
      (pair: Pair) => {
        pair.filter = () => false;
        pair.close(pair.b);
      },
    ],
    [
      "CLOSED",
      "i2_replayed",
      (pair: Pair) => {
        pair.filter = ({ name }) => name !== "CLOSE_ACK";
        pair.close(pair.a);
        pair.run(() => pair.b.state(pair.a) === "CLOSED");
      },
    ],
    [
      "UNASSOCIATED",
      "i2_replayed",
      (pair: Pair) => {
        pair.close(pair.b);
        pair.run(() => pair.b.state(pair.a) === "UNASSOCIATED");
      },
    ],
    [
      "UNASSOCIATED",
      "i2_replayed",
      (pair: Pair) => {
        pair.filter = () => false;
        pair.input(pair.b, { type: "forget", peer: pair.a.hit });
      },
    ],
    [
      "UNASSOCIATED",
      "r1_stale",
      (pair: Pair) => {
        pair.close(pair.b);
        pair.pass(timers.r1Offered + timers.r1Remembered - 1_000);
        pair.deliver(pair.b, i1(pair.a.hit, pair.b.hit, [7]));
        pair.now = (pair.now + 3_000) as never;
      },
    ],
    [
      "UNASSOCIATED",
      "r1_unknown",
      (pair: Pair) => {
        pair.b.reboot();
        pair.start();
      },
    ],
  ] as const)("in %s it is dropped: %s", (state, reason, act) => {
    const { pair, i2 } = answered();
    act(pair);
    expect(pair.b.state(pair.a)).toBe(state);
    pair.deliver(pair.b, i2);
    expect(pair.b.state(pair.a)).toBe(state);
    expect(lastDrop(pair.b)).toBe(reason);
    expect(keys(pair)).toBe(1);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("after a newer association it is dropped", () => {
    const { pair, i2 } = answered();
    pair.pass(2_000);
    pair.a.reboot();
    pair.start();
    pair.establish();
    expect(keys(pair)).toBe(2);
    pair.deliver(pair.b, i2);
    expect(lastDrop(pair.b)).toBe("i2_replayed");
    expect(unusable(pair)).toEqual([]);
    expect(keys(pair)).toBe(2);
  });

  test("after new settings it is dropped, while an I2 for an R1 of before is accepted", () => {
    const { pair, i2 } = answered();
    const fresh = i2Of(pair.a, r1Of(pair, pair.b, pair.a));
    pair.close(pair.b);
    pair.pass(1_000);
    pair.take(pair.b, pair.b.host.configure(pair.b.config, pair.b.identities, pair.now));
    pair.deliver(pair.b, i2);
    expect(lastDrop(pair.b)).toBe("i2_replayed");
    expect(keys(pair)).toBe(1);
    pair.deliver(pair.b, fresh);
    expect(pair.b.state(pair.a)).toBe("R2-SENT");
    expect(problemsOf(pair)).toEqual([]);
  });

  test("while the first one is being processed it is dropped", () => {
    const pair = new Pair({ config });
    const i2 = i2Of(pair.a, r1Of(pair, pair.b, pair.a));
    pair.b.holdJobs = ["accept-i2"];
    pair.deliver(pair.b, i2);
    pair.deliver(pair.b, i2);
    expect(pair.b.drops("busy")).toBe(1);
    pair.releaseJobs(pair.b);
    expect(keys(pair)).toBe(1);
    expect(pair.count("R2")).toBe(1);
  });

  test.each([
    ["the peer is forgotten", (pair: Pair) => pair.input(pair.b, { type: "forget", peer: pair.a.hit })],
    [
      "settings change",
      (pair: Pair) => {
        pair.take(pair.b, pair.b.host.configure(pair.b.config, pair.b.identities, pair.now));
        pair.input(pair.b, { type: "forget", peer: pair.a.hit });
      },
    ],
  ])("also when, between the two, %s", (_name, act) => {
    const pair = new Pair({ config });
    const i2 = i2Of(pair.a, r1Of(pair, pair.b, pair.a));
    pair.b.holdJobs = ["accept-i2"];
    pair.deliver(pair.b, i2);
    act(pair);
    pair.deliver(pair.b, i2);
    expect(pair.b.heldJobs).toHaveLength(2);
    pair.releaseJobs(pair.b);
    expect(keys(pair)).toBe(1);
    expect(pair.b.sas.size).toBe(2);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("also when the tables are full", () => {
    const c = identity("ecdsa-p256", 2);
    const pair = new Pair({ config: { ...config, maxAssociations: 1 } });
    const other = pair.add("c", "203.0.113.9", [c], config);
    pair.b.knows(other);
    const i2 = i2Of(pair.a, r1Of(pair, pair.b, pair.a));
    pair.input(pair.b, { type: "connect", peer: other.hit });
    const before = jobs(pair.b);
    pair.deliver(pair.b, i2);
    pair.deliver(pair.b, i2);
    expect(pair.b.drops("associations_full")).toBe(2);
    expect(jobs(pair.b)).toBe(before);
  });
});

describe("the puzzle as the Initiator sees it", () => {
  function offered(k: number, solveK: number): Pair {
    const pair = new Pair({
      config: { ...config, timers: { ...timers, failedHold: 1 } },
      configA: { puzzle: { ...puzzle, solveK } },
      configB: { puzzle: { ...puzzle, idleK: k } },
    });
    return pair;
  }

  test("one at the bound is solved", () => {
    const pair = offered(6, 6).establish();
    expect(get(read(pair.sent(pair.a, "I2")), SOLUTION)?.k).toBe(6);
  });

  test("one beyond the bound is refused: no search, no I2, the exchange fails", () => {
    const pair = offered(7, 6);
    pair.connect(pair.a);
    pair.run(() => pair.a.events("association-failed").length === 1, 60_000);
    expect(pair.a.drops("puzzle_too_hard")).toBeGreaterThan(0);
    expect(pair.count("I2")).toBe(0);
    expect(pair.a.events("exchange-refused")[0]?.detail).toEqual({
      packet: "R1",
      reason: "puzzle_too_hard",
      detail: "K 7, bound 6",
    });
  });

  test("K 0 is solved without a search", () => {
    const pair = offered(0, 24).establish();
    expect(unusable(pair)).toEqual([]);
  });
});

describe("difficulty (4.1.1, Appendix A)", () => {
  test("rises with the number of forged I2s, but once only while the crypto queue is full", () => {
    const difficulty = new Difficulty({ ...puzzle, idleK: 0, easyRate: 1_000, loadedK: 20 });
    let now = 1_000;
    const second = (what: "forged" | "busy", times: number): number => {
      for (let i = 0; i < times; i++) difficulty[what](now as never);
      now += 1_000;
      return difficulty.at(now as never);
    };
    expect(second("busy", 1)).toBe(4);
    // One I2 may be repeated at will.
    expect(second("busy", 10_000)).toBe(4);
    expect(second("forged", 1)).toBe(4);
    expect(second("forged", 17)).toBe(5);
    expect(second("forged", 1_000)).toBe(10);
    expect(second("busy", 0)).toBe(9);
  });

  test("rises with the rate at once and falls by a bit a second", () => {
    const difficulty = new Difficulty({ ...puzzle, idleK: 4, easyRate: 100, loadedK: 20 });
    let now = 1_000;
    const second = (exchanges: number): number => {
      for (let i = 0; i < exchanges; i++) difficulty.exchange(now as never);
      now += 1_000;
      return difficulty.at(now as never);
    };
    expect(second(100)).toBe(4);
    expect(second(101)).toBe(5);
    expect(second(400)).toBe(6);
    expect(second(100_000)).toBe(14);
    expect(second(0)).toBe(13);
    expect(second(0)).toBe(12);
    now += 4_000;
    expect(difficulty.at(now as never)).toBe(8);
    now += 60_000;
    expect(difficulty.at(now as never)).toBe(4);
  });

  test("never leaves its bounds", () => {
    const difficulty = new Difficulty({ ...puzzle, idleK: 3, easyRate: 1, loadedK: 9 });
    for (let i = 0; i < 50_000; i++) difficulty.exchange(1_000 as never);
    expect(difficulty.at(2_000 as never)).toBe(9);
    expect(difficulty.at(1_000_000 as never)).toBe(3);
  });

  test("a storm of I1s makes R1s harder; afterwards they become easy again", () => {
    const pair = new Pair({ config: { ...config, puzzle: { ...puzzle, easyRate: 10 } } });
    const k = (): number => get(read(r1Of(pair, pair.b, pair.a)), PUZZLE)?.k ?? -1;
    const storm = (count: number): void => {
      for (let n = 0; n < count; n++) {
        const path = { ...pathBetween(pair.b, pair.a), remote: { address: `203.0.113.${n % 250}`, port: n } };
        pair.deliver(pair.b, i1(pair.a.hit, pair.b.hit, [7]), path);
      }
    };
    pair.latency = Number.POSITIVE_INFINITY;
    expect(k()).toBe(4);
    storm(79);
    pair.pass(1_001);
    k();
    pair.pass(30);
    expect(k()).toBe(7);
    expect(pair.b.host.gauges().puzzleDifficulty).toBe(7);
    for (let i = 0; i < 10; i++) {
      pair.pass(1_001);
      k();
    }
    pair.pass(30);
    expect(k()).toBe(4);
    expect(pair.b.host.gauges().puzzleDifficulty).toBe(4);
  });

  test("so does a full job queue, of which others are told (5.2.19, RESPONDER_BUSY_PLEASE_RETRY)", () => {
    const busy: Partial<HostConfig> = { ...config, maxJobs: 2 };
    const pair = new Pair({ config: busy });
    const c = pair.add("c", "203.0.113.9", [identity("ecdsa-p256", 2)], config);
    pair.b.knows(c);
    pair.b.holdJobs = ["accept-i2"];
    const fromC = pathBetween(pair.b, c);
    pair.deliver(pair.b, i2Of(pair.a, r1Of(pair, pair.b, pair.a)));
    pair.deliver(pair.b, i2Of(c, r1Of(pair, pair.b, c)), fromC);
    expect(pair.b.drops("jobs_full")).toBe(1);
    expect(pair.count("NOTIFY", pair.b)).toBe(1);
    pair.pass(1_001);
    expect(pair.b.host.gauges().puzzleDifficulty).toBe(4);
    pair.deliver(pair.b, i1(pair.a.hit, pair.b.hit, [7]));
    expect(pair.b.host.gauges().puzzleDifficulty).toBe(8);
  });
});
