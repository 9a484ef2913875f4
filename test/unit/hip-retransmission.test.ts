import { describe, expect, test } from "vitest";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { get, parse } from "../../src/wire/packet.ts";
import { R1_COUNTER } from "../../src/wire/rfc7401.ts";
import { r1Of } from "../support/packets.ts";
import { type Node, Pair, pathBetween } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";

const { timers, retries } = DEFAULT_CONFIG;
const config = { dhGroups: [7] };

/** When `node` sent packets of this kind, and where to. */
function sendings(
  pair: Pair,
  node: Node,
  name: string,
): readonly { readonly at: number; readonly to: string }[] {
  return pair.flights
    .filter((flight) => flight.from === node && flight.name === name)
    .map(({ at, path }) => ({ at, to: path.remote.address }));
}

function intervals(pair: Pair, node: Node, name: string): readonly number[] {
  const times = sendings(pair, node, name).map(({ at }) => at);
  return times.slice(1).map((at, i) => at - (times[i] as number));
}

function r1Counter(r1: Uint8Array): bigint | undefined {
  const parsed = parse(r1);
  return parsed.ok ? get(parsed.value, R1_COUNTER)?.counter : undefined;
}

/** Doubling from the first interval up to `max`, each within a quarter of its nominal length. */
function expectBackOff(measured: readonly number[], count: number, max = timers.retransmitMax): void {
  expect(measured).toHaveLength(count);
  let nominal = timers.retransmit;
  for (const interval of measured) {
    expect(interval).toBeGreaterThanOrEqual(nominal * 0.75 - 1);
    expect(interval).toBeLessThanOrEqual(nominal * 1.25 + 1);
    nominal = Math.min(nominal * 2, max);
  }
}

describe("retransmission", () => {
  test("I1: doubling intervals, a limit, E-FAILED, then a new try works (RFC 7401 6.6)", () => {
    const pair = new Pair({ config });
    const { a, b } = pair;
    pair.filter = () => false;
    pair.connect(a);
    pair.run(() => a.state(b) === "E-FAILED", 60_000);
    expectBackOff(intervals(pair, a, "I1"), retries.i1 - 1);
    expect(a.routes.get(b.hit)).toBe("reject");
    expect(a.events("association-failed").map(({ detail }) => detail)).toEqual([
      { reason: "no_answer_to_i1" },
    ]);
    const failedAt = pair.now;
    pair.run(() => a.state(b) === "UNASSOCIATED", 60_000);
    expect(pair.now - failedAt).toBe(timers.failedHold);
    expect(a.routes.get(b.hit)).toBe("demand");
    expect(a.host.associations()).toEqual([]);
    pair.filter = () => true;
    pair.establish(a);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("I2: the same packet, doubling intervals, a limit, E-FAILED without SAs (6.8 step 18)", () => {
    const pair = new Pair({ config });
    const { a, b } = pair;
    pair.filter = ({ name }) => name !== "R2";
    pair.connect(a);
    pair.run(() => a.state(b) === "E-FAILED", 60_000);
    expectBackOff(intervals(pair, a, "I2"), retries.i2 - 1);
    const packets = pair.flights.filter(({ name }) => name === "I2").map(({ bytes }) => bytes);
    for (const bytes of packets) expect(bytes).toEqual(packets[0]);
    expect(pair.count("R2", b)).toBe(retries.i2);
    expect(a.events("association-failed").map(({ detail }) => detail)).toEqual([
      { reason: "no_answer_to_i2" },
    ]);
    expect(a.sas.size).toBe(0);
    pair.filter = () => true;
    pair.pass(timers.failedHold);
    pair.establish(a);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("UPDATE: the same packet, doubling intervals, a limit, then CLOSING (6.11 step 4)", () => {
    const pair = new Pair({ config }).establish();
    const { a, b } = pair;
    pair.filter = () => false;
    pair.input(a, { type: "probe", peer: b.hit });
    pair.run(() => a.state(b) === "CLOSING", 60_000);
    expectBackOff(intervals(pair, a, "UPDATE"), retries.update - 1);
    const packets = pair.flights.filter(({ name }) => name === "UPDATE").map(({ bytes }) => bytes);
    for (const bytes of packets) expect(bytes).toEqual(packets[0]);
    expect(a.events("association-closed")[0]?.detail).toEqual({ by: "us", reason: "no_answer_to_update" });
    expect(problemsOf(pair)).toEqual([]);
  });

  test("CLOSE: doubling intervals up to a minute, for UAL + MSL (Table 7)", () => {
    const pair = new Pair({ config }).establish();
    const { a, b } = pair;
    pair.filter = () => false;
    pair.close(a);
    const begun = pair.now;
    pair.run(() => a.state(b) === "UNASSOCIATED", 60 * 60_000);
    expect(pair.now - begun).toBe(timers.unusedAssociationLifetime + timers.maximumSegmentLifetime);
    const measured = intervals(pair, a, "CLOSE");
    expectBackOff(measured, measured.length, 60_000);
    expect(measured.length).toBeGreaterThan(15);
    expect(a.sas.size).toBe(0);
    expect(a.host.associations()).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("intervals stop growing at their maximum", () => {
    const pair = new Pair({ config: { ...config, retries: { i1: 9, i2: 4, update: 5 } } });
    pair.filter = () => false;
    pair.connect(pair.a);
    pair.run(() => pair.a.state(pair.b) === "E-FAILED", 120_000);
    expectBackOff(intervals(pair, pair.a, "I1"), 8);
    expect(Math.max(...intervals(pair, pair.a, "I1"))).toBeLessThanOrEqual(timers.retransmitMax * 1.25);
  });

  test("jitter keeps hosts apart that began together", () => {
    const firsts = Array.from({ length: 20 }, (_, seed) => {
      const pair = new Pair({ config, seed: 100 + seed });
      pair.filter = () => false;
      pair.connect(pair.a);
      pair.run(() => pair.count("I1") === 2, 2_000);
      return intervals(pair, pair.a, "I1")[0] as number;
    });
    expect(new Set(firsts).size).toBeGreaterThan(10);
    expect(Math.max(...firsts) - Math.min(...firsts)).toBeGreaterThan(100);
  });

  test("no I1 goes out while the answer to an R1 is computed; a lost job is waited for until the puzzle ends", () => {
    const pair = new Pair({ config });
    const { a, b } = pair;
    a.holdJobs = ["answer-r1"];
    pair.connect(a);
    const lifetime = 2 ** (DEFAULT_CONFIG.puzzle.lifetime - 32) * 1000;
    pair.pass(lifetime);
    expect(pair.count("I1")).toBe(1);
    expect(a.state(b)).toBe("I1-SENT");
    pair.pass(1_000);
    expect(pair.count("I1")).toBe(2);
    // The old answer, late, is not sent any more (RFC 7401 6.8 step 12).
    const [late] = a.heldJobs.splice(0, 1);
    if (late === undefined) throw new Error("no job was held");
    pair.finish(a, late.id, a.runJob(late.job));
    expect(pair.count("I2")).toBe(0);
    expect(a.drops("overtaken")).toBe(1);
    pair.releaseJobs(a);
    pair.run(() => a.state(b) === "ESTABLISHED", 5_000);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("a solution that comes after the puzzle's lifetime is not sent", () => {
    const pair = new Pair({ config });
    const { a, b } = pair;
    a.holdJobs = ["answer-r1"];
    pair.connect(a);
    pair.run(() => a.heldJobs.length === 1);
    pair.now = (pair.now + 2 ** (DEFAULT_CONFIG.puzzle.lifetime - 32) * 1000 + 1) as never;
    pair.releaseJobs(a);
    expect(a.drops("puzzle_expired")).toBe(1);
    expect(pair.count("I2")).toBe(0);
    expect(a.state(b)).toBe("I1-SENT");
  });
});

describe("I1s to several addresses (RFC 7401 6.6.1)", () => {
  const addresses = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "203.0.113.5"];

  function many(count: number): Pair {
    const pair = new Pair({ config });
    const locators = addresses.slice(0, count).map((address) => ({ address, port: 10500 }));
    pair.a.knows(pair.b, { locators });
    return pair;
  }

  test.each([
    [1, ["1"], ["1", "1", "1"]],
    [2, ["1", "2"], ["2", "1", "2"]],
    [3, ["1", "2", "3"], ["3", "1", "2"]],
    [4, ["1", "2", "3"], ["4", "1", "2"]],
    [5, ["1", "2", "3"], ["4", "5", "1"]],
  ])("%i locators: at most three at once, then one at a time", (count, first, then) => {
    const pair = many(count);
    pair.connect(pair.a);
    const last = (to: string): string => to.slice(-1);
    expect(sendings(pair, pair.a, "I1").map(({ to }) => last(to))).toEqual(first);
    pair.run(() => pair.a.state(pair.b) === "E-FAILED", 60_000);
    const later = sendings(pair, pair.a, "I1").slice(first.length);
    expect(later.map(({ to }) => last(to))).toEqual(then);
    expect(new Set(later.map(({ at }) => at)).size).toBe(later.length);
  });

  test("the I2 goes where an R1 came from", () => {
    const pair = many(3);
    pair.b.addresses = ["203.0.113.2"];
    pair.establish();
    expect(sendings(pair, pair.a, "I2").map(({ to }) => to)).toEqual(["203.0.113.2"]);
    expect(pair.a.host.association(pair.b.hit)?.path?.remote.address).toBe("203.0.113.2");
  });

  test("but never to an address that was not called", () => {
    const pair = many(2);
    pair.filter = () => false;
    pair.connect(pair.a);
    const path = { ...pathBetween(pair.a, pair.b), remote: { address: "198.18.7.7", port: 10500 } };
    pair.deliver(pair.a, r1Of(pair, pair.b, pair.a), path);
    expect(pair.a.state(pair.b)).toBe("I2-SENT");
    expect(addresses).toContain(sendings(pair, pair.a, "I2")[0]?.to);
  });

  test("several R1s of one generation make one I2", () => {
    const pair = many(3);
    pair.filter = () => false;
    pair.connect(pair.a);
    const r1 = r1Of(pair, pair.b, pair.a);
    for (let i = 0; i < 3; i++) pair.deliver(pair.a, r1);
    expect(pair.count("I2")).toBe(1);
    expect(pair.a.drops("r1_not_newer")).toBe(2);
  });

  describe("when the Responder replaces its R1 between two of them", () => {
    /** Two hosts with two families each, about to begin again: the R1 of before is used, and old enough to be replaced. */
    function about(): Pair {
      const pair = new Pair({ config });
      const { a, b } = pair;
      a.addresses = [a.address, "2001:db8:a::1"];
      b.addresses = [b.address, "2001:db8:b::1"];
      a.knows(b, { locators: b.addresses.map((address) => ({ address, port: 10500 })) });
      pair.establish();
      pair.close(a);
      pair.pass(1_500);
      pair.flights.length = 0;
      return pair;
    }

    test("one I2 goes out, and the exchange ends as fast as any", () => {
      const pair = about();
      const { a, b } = pair;
      pair.connect(a);
      pair.run(() => a.state(b) === "ESTABLISHED", 4 * pair.latency);
      const r1s = pair.flights.filter(({ name }) => name === "R1").map(({ bytes }) => r1Counter(bytes));
      expect(new Set(r1s).size).toBe(2);
      expect(pair.count("I2")).toBe(1);
      pair.pass(2_000);
      expect(b.drops("puzzle_unknown") + a.drops("mac")).toBe(0);
      expect(problemsOf(pair)).toEqual([]);
    });

    test("the newer one is answered, where it came from, when the first answer comes to nothing", () => {
      const pair = about();
      const { a, b } = pair;
      pair.filter = ({ name, path }) => name !== "I2" || path.remote.address.includes(":");
      pair.connect(a);
      pair.run(() => a.state(b) === "ESTABLISHED", 2 * timers.retransmit);
      expect(sendings(pair, a, "I2").map(({ to }) => to)).toEqual(b.addresses);
      expect(problemsOf(pair)).toEqual([]);
    });

    test("but not after the end of its puzzle's lifetime", () => {
      const pair = about();
      const { a, b } = pair;
      pair.filter = ({ name }) => name !== "I2";
      pair.connect(a);
      pair.run(() => a.state(b) === "I2-SENT");
      pair.pass(2 * pair.latency);
      pair.now = (pair.now + 2 ** (DEFAULT_CONFIG.puzzle.lifetime - 32) * 1000 + 1) as never;
      pair.input(a, { type: "timeout" });
      expect(sendings(pair, a, "I2").map(({ to }) => to)).toEqual([b.address, b.address]);
    });
  });

  test("R1s that come while one is being answered are dropped", () => {
    const pair = many(3);
    pair.filter = () => false;
    pair.a.holdJobs = ["answer-r1"];
    pair.connect(pair.a);
    const r1 = r1Of(pair, pair.b, pair.a);
    for (let i = 0; i < 3; i++) pair.deliver(pair.a, r1);
    expect(pair.a.heldJobs).toHaveLength(1);
    expect(pair.a.drops("busy")).toBe(2);
  });
});
