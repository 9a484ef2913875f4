import { describe, expect, test } from "vitest";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { STATE_NAMES } from "../../src/hip/io.ts";
import { i1 } from "../../src/hip/messages.ts";
import { HEADER_BYTES } from "../../src/wire/packet.ts";
import { i2Of, r1Of, sealed } from "../support/packets.ts";
import { identity, type Node, Pair, pathBetween } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";
import { PACKETS, reach, validPacket } from "../support/states.ts";

const config = { dhGroups: [7] };

function jobs(node: Node): number {
  return node.outputs.filter(({ type }) => type === "job").length;
}

/** Peers c, d, ... that `pair.b` knows. */
function crowd(pair: Pair, count: number): readonly Node[] {
  return Array.from({ length: count }, (_, n) => {
    const node = pair.add(`c${n}`, `203.0.113.${n + 1}`, [identity("ecdsa-p256", 10 + n)], config);
    node.knows(pair.b);
    pair.b.knows(node);
    return node;
  });
}

describe("default deny", () => {
  test.each(PACKETS)("a %s of a HIT that is not known gets nothing and costs nothing", (name) => {
    const reached = reach("ESTABLISHED");
    const { pair } = reached;
    const c = pair.add("c", "203.0.113.9", [identity("ecdsa-p256", 2)], config);
    pair.filter = () => true;
    pair.establish(pair.b);
    const known = validPacket(reached, name);
    // The same packet under another HIT, as far as it goes.
    const bytes = name === "I2" ? i2Of(c, reached.r1OfA) : known.slice();
    bytes.set(Buffer.from(c.hit, "hex"), 8);
    const before = pair.a.outputs.length;
    pair.deliver(pair.a, bytes, pathBetween(pair.a, c));
    expect(pair.a.outputs.slice(before)).toEqual([{ type: "drop", reason: "policy" }]);
    expect(pair.a.host.associations()).toHaveLength(1);
  });

  test("connect to a HIT that is not known is refused", () => {
    const pair = new Pair({ config });
    pair.a.peers.clear();
    pair.connect(pair.a);
    expect(pair.a.outputs.at(-1)).toEqual({ type: "drop", reason: "policy" });
    expect(pair.flights).toEqual([]);
  });

  test("a packet that is not for one of our HITs is dropped (RFC 7401 6.7 step 1, 6.9 step 2)", () => {
    const pair = new Pair({ config });
    const stranger = identity("ecdsa-p256", 2);
    pair.deliver(pair.a, i1(pair.b.hit, stranger.hit, [7]));
    expect(pair.a.outputs.at(-1)).toEqual({ type: "drop", reason: "not_our_hit" });
  });

  test("who loses the permission loses the association with the next packet", () => {
    const pair = new Pair({ config }).establish();
    const { a, b } = pair;
    a.peers.clear();
    const notify = [{ type: 832, contents: Uint8Array.of(0, 0, 0, 24) }];
    pair.deliver(a, sealed(b, a.hit, "NOTIFY", notify));
    expect(a.host.associations()).toEqual([]);
    expect(a.sas.size).toBe(0);
    pair.pass(1_000);
    expect(b.state(a)).toBe("CLOSED");
    expect(problemsOf(pair)).toEqual([]);
  });

  test("bytes that are no HIP packet are counted by what is wrong with them", () => {
    const pair = new Pair({ config });
    const good = i1(pair.b.hit, pair.a.hit, [7]);
    const bad = (at: number, value: number): Uint8Array => good.map((byte, i) => (i === at ? value : byte));
    const wrong: readonly (readonly [Uint8Array, string])[] = [
      [new Uint8Array(0), "short"],
      [good.subarray(0, HEADER_BYTES - 1), "short"],
      [bad(3, 0x11), "version"],
      [bad(1, 255), "header_length"],
      [bad(2, 99), "packet_type"],
      [bad(43, 200), "parameter_length"],
    ];
    for (const [bytes, reason] of wrong) {
      pair.deliver(pair.a, bytes);
      expect(pair.a.outputs.at(-1)).toEqual({ type: "drop", reason: `malformed_${reason}` });
    }
  });
});

describe("limits", () => {
  test("associations: what comes beyond is refused before any work, what is there goes on", () => {
    const pair = new Pair({ config, configB: { maxAssociations: 2 } });
    const [c, d] = crowd(pair, 2) as readonly [Node, Node];
    pair.establish();
    pair.input(c, { type: "connect", peer: pair.b.hit });
    pair.run(() => c.state(pair.b) === "ESTABLISHED");
    const before = jobs(pair.b);
    pair.input(d, { type: "connect", peer: pair.b.hit });
    pair.run(() => d.state(pair.b) === "E-FAILED", 60_000);
    pair.input(pair.b, { type: "connect", peer: d.hit });
    expect(pair.b.drops("associations_full")).toBe(5);
    expect(jobs(pair.b)).toBe(before);
    expect(pair.count("I1", pair.b)).toBe(0);
    expect(unusable(pair)).toEqual([]);
    // A place is free again.
    pair.input(pair.b, { type: "forget", peer: c.hit });
    pair.pass(DEFAULT_CONFIG.timers.failedHold);
    pair.input(d, { type: "connect", peer: pair.b.hit });
    pair.run(() => d.state(pair.b) === "ESTABLISHED", 10_000);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("jobs: I2s may take half of the places, so that our own exchanges go on", () => {
    const pair = new Pair({ config, configB: { maxJobs: 4 } });
    const crew = crowd(pair, 4);
    pair.b.holdJobs = ["accept-i2"];
    for (const node of crew) {
      pair.deliver(pair.b, i2Of(node, r1Of(pair, pair.b, node)), pathBetween(pair.b, node));
    }
    expect(pair.b.heldJobs).toHaveLength(2);
    expect(pair.b.drops("jobs_full")).toBe(2);
    pair.connect(pair.b);
    pair.run(() => pair.b.state(pair.a) === "ESTABLISHED", 5_000);
    pair.releaseJobs(pair.b);
    expect(pair.b.host.gauges().jobsInFlight).toBe(0);
  });

  test("jobs: as an Initiator we try again when there is a place", () => {
    const pair = new Pair({ config, configA: { maxJobs: 1 } });
    const { a, b } = pair;
    const c = pair.add("c", "203.0.113.9", [identity("ecdsa-p256", 2)], config);
    a.knows(c);
    c.knows(a);
    a.holdJobs = ["answer-r1"];
    pair.connect(a);
    pair.run(() => a.heldJobs.length === 1);
    pair.input(a, { type: "connect", peer: c.hit });
    pair.run(() => a.drops("jobs_full") === 1, 5_000);
    a.holdJobs = false;
    pair.releaseJobs(a);
    pair.run(() => a.state(b) === "ESTABLISHED" && a.state(c) === "ESTABLISHED", 10_000);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("jobs: R1s that are made anew do not take the places of exchanges", () => {
    // Three identities, five groups, two carriers: thirty R1s at once, and two places.
    const pair = new Pair({
      b: [identity("ecdsa-p256", 1), identity("ecdsa-p256", 2), identity("ecdsa-p256", 3)],
      config: { dhGroups: [7, 8, 9] },
      configB: { maxJobs: 2 },
    });
    pair.b.holdJobs = ["make-r1"];
    pair.pass(DEFAULT_CONFIG.timers.r1Offered + 1);
    expect(pair.b.heldJobs).toHaveLength(18);
    expect(pair.b.host.gauges().jobsInFlight).toBe(18);
    pair.establish();
    expect(pair.b.drops("jobs_full")).toBe(0);
    pair.releaseJobs(pair.b);
    expect(pair.b.host.gauges().jobsInFlight).toBe(0);
  });

  test("nothing stays in flight or in a table when all is over", () => {
    for (const state of STATE_NAMES) {
      const { pair } = reach(state);
      for (const node of [pair.a, pair.b]) pair.input(node, { type: "forget", peer: pair.other(node).hit });
      pair.pass(1_000);
      for (const node of [pair.a, pair.b]) {
        expect(node.host.gauges()).toMatchObject({ associations: 0, jobsInFlight: 0 });
        expect(node.sas.size).toBe(0);
      }
      expect(problemsOf(pair)).toEqual([]);
    }
  });

  test("R1s that are remembered stay few, however long it goes on", () => {
    const pair = new Pair({ config });
    let most = 0;
    for (let n = 0; n < 100; n++) {
      pair.pass(2_000);
      // Each one is used, and so replaced.
      pair.deliver(pair.b, i2Of(pair.a, r1Of(pair, pair.b, pair.a)));
      most = Math.max(most, pair.b.host.gauges().r1Generations);
    }
    expect(most).toBeLessThan(40);
    expect(problemsOf(pair)).toEqual([]);
  });
});

describe("new settings", () => {
  test("an identity that is gone takes its associations with it and tells the peer", () => {
    const [one, other] = [identity("ecdsa-p256", 1), identity("ecdsa-p256", 2)];
    const pair = new Pair({ b: [one, other], config }).establish();
    const { a, b } = pair;
    const keep = b.identities;
    pair.take(b, b.host.configure(b.config, [other], pair.now));
    expect(b.host.associations()).toEqual([]);
    expect(b.sas.size).toBe(0);
    b.identities = keep;
    pair.pass(1_000);
    expect(a.state(b)).toBe("CLOSED");
    const before = b.drops("not_our_hit");
    pair.deliver(b, i1(a.hit, one.hit, [7]));
    expect(b.drops("not_our_hit")).toBe(before + 1);
  });

  test("leave associations and exchanges under way alone", () => {
    const pair = new Pair({ config });
    const { a, b } = pair;
    pair.connect(a);
    for (let n = 0; n < 6; n++) {
      pair.pass(7);
      for (const node of [a, b]) pair.take(node, node.host.configure(node.config, node.identities, pair.now));
    }
    expect(a.state(b)).toBe("ESTABLISHED");
    expect(pair.count("I1")).toBe(1);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });
});
