import { describe, expect, test } from "vitest";
import { i1 } from "../../src/hip/messages.ts";
import { i2Of, r1Of } from "../support/packets.ts";
import { greaterFirst, Pair, pathBetween } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";
import { reach, validPacket } from "../support/states.ts";

const [greater, lesser] = greaterFirst();
const config = { dhGroups: [7] };

/** `a` has the greater or the lesser HIT. */
function pairOf(which: "greater" | "lesser"): Pair {
  return which === "greater"
    ? new Pair({ a: [greater], b: [lesser], config })
    : new Pair({ a: [lesser], b: [greater], config });
}

function bothUsable(pair: Pair): boolean {
  return unusable(pair).length === 0;
}

describe.each(["greater", "lesser"] as const)("crossing exchanges, ours is the %s HIT", (which) => {
  test("I1s that cross end in one association (RFC 7401 6.7 step 3)", () => {
    const pair = pairOf(which);
    pair.connect(pair.a);
    pair.connect(pair.b);
    pair.run(() => bothUsable(pair), 5_000);
    expect(pair.a.outboundKeys).toHaveLength(1);
    expect(pair.b.outboundKeys).toHaveLength(1);
    expect(pair.count("I2")).toBe(1);
    // Only the greater one answers.
    const answering = which === "greater" ? pair.a : pair.b;
    expect(pair.count("R1", answering)).toBe(1);
    expect(pair.count("R1", pair.other(answering))).toBe(0);
    expect(pair.other(answering).drops("i1_crossing")).toBe(1);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("I2s that cross end in one association (6.9 step 5)", () => {
    const pair = pairOf(which);
    const { a, b } = pair;
    const forB = r1Of(pair, a, b);
    const forA = r1Of(pair, b, a);
    pair.filter = ({ name }) => name !== "I1";
    pair.connect(a);
    pair.connect(b);
    pair.deliver(a, forA);
    pair.deliver(b, forB);
    expect([a.state(b), b.state(a)]).toEqual(["I2-SENT", "I2-SENT"]);
    pair.run(() => bothUsable(pair), 5_000);
    const [winner, loser] = which === "greater" ? [b, a] : [a, b];
    // The one with the lesser HIT drops the I2 and is the Initiator of what comes of it.
    expect(winner.drops("i2_crossing")).toBe(1);
    expect(winner.state(loser)).toBe("ESTABLISHED");
    expect(loser.state(winner)).toBe("R2-SENT");
    expect(pair.count("R2")).toBe(1);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("while the jobs of both sides take their time", () => {
    const pair = pairOf(which);
    const { a, b } = pair;
    const forB = r1Of(pair, a, b);
    const forA = r1Of(pair, b, a);
    pair.connect(a);
    pair.connect(b);
    for (const node of [a, b]) node.holdJobs = ["answer-r1", "accept-i2", "accept-r2"];
    pair.deliver(a, forA);
    pair.deliver(b, forB);
    for (let round = 0; round < 200 && !bothUsable(pair); round++) {
      pair.pass(20);
      const node = round % 2 === 0 ? a : b;
      const [first] = node.heldJobs;
      if (first !== undefined) pair.releaseJobs(node, first.job.kind);
    }
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });
});

describe("with the lesser HIT", () => {
  test("I1-SENT drops an I1 of the peer", () => {
    const { pair } = reach("I1-SENT", { greater: false });
    pair.deliver(pair.a, i1(pair.b.hit, pair.a.hit, [7]));
    expect(pair.a.drops("i1_crossing")).toBe(1);
    expect(pair.count("R1", pair.a)).toBe(0);
    expect(pair.a.state(pair.b)).toBe("I1-SENT");
  });

  test("I2-SENT drops an I2 of the peer before anything is computed", () => {
    const reached = reach("I2-SENT", { greater: false });
    const { pair } = reached;
    const jobs = pair.a.outputs.filter(({ type }) => type === "job").length;
    pair.deliver(pair.a, validPacket(reached, "I2"));
    expect(pair.a.drops("i2_crossing")).toBe(1);
    expect(pair.a.state(pair.b)).toBe("I2-SENT");
    expect(pair.a.outputs.filter(({ type }) => type === "job").length).toBe(jobs);
  });

  test("I1-SENT takes an I2 and gives up its own I1 (6.9 step 6)", () => {
    const reached = reach("I1-SENT", { greater: false });
    const { pair } = reached;
    pair.deliver(pair.a, validPacket(reached, "I2"));
    expect(pair.a.state(pair.b)).toBe("R2-SENT");
    const sent = pair.count("I1", pair.a);
    pair.pass(30_000);
    expect(pair.count("I1", pair.a)).toBe(sent);
  });

  test("crossing is judged again when the job ends: our I2 went out meanwhile", () => {
    const { pair, r1OfA } = reach("I1-SENT", { greater: false });
    const { a, b } = pair;
    a.holdJobs = ["accept-i2"];
    const r1 = r1Of(pair, b, a);
    pair.deliver(a, i2Of(b, r1OfA));
    pair.deliver(a, r1);
    expect(a.state(b)).toBe("I2-SENT");
    pair.releaseJobs(a);
    expect(a.state(b)).toBe("I2-SENT");
    expect(a.drops("i2_crossing")).toBe(1);
    expect(pair.count("R2", a)).toBe(0);
    expect(problemsOf(pair)).toEqual([]);
  });
});

describe("an I2 that lost, and comes later than the R2 that was sent after it (6.9 step 5)", () => {
  function late(): { readonly pair: Pair; readonly i2: Uint8Array } {
    const pair = pairOf("lesser");
    const { a, b } = pair;
    const forB = r1Of(pair, a, b);
    const forA = r1Of(pair, b, a);
    pair.filter = ({ name, from }) => name !== "I1" && (name !== "I2" || from === a);
    pair.connect(a);
    pair.connect(b);
    pair.deliver(a, forA);
    pair.deliver(b, forB);
    pair.run(() => bothUsable(pair), 5_000);
    expect([a.state(b), b.state(a)]).toEqual(["ESTABLISHED", "R2-SENT"]);
    return { pair, i2: pair.sent(b, "I2") as Uint8Array };
  }

  test.each(["the same address", "another address"])("leaves the association alone: from %s", (from) => {
    const { pair, i2 } = late();
    const { a, b } = pair;
    const path = pathBetween(a, b);
    const remote = { ...path.remote, address: "198.51.100.8" };
    pair.deliver(a, i2, from === "another address" ? { ...path, remote } : path);
    pair.pass(2_000);
    expect(a.drops("i2_crossing")).toBe(1);
    expect(a.events("clone-detected")).toEqual([]);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("while its job took its time", () => {
    const { pair, r1OfA } = reach("I1-SENT", { greater: false });
    const { a, b } = pair;
    const r1 = r1Of(pair, b, a);
    a.holdJobs = ["accept-i2"];
    pair.deliver(a, i2Of(b, r1OfA));
    pair.filter = () => true;
    pair.deliver(a, r1);
    pair.run(() => a.state(b) === "ESTABLISHED", 5_000);
    pair.releaseJobs(a);
    expect(a.drops("i2_crossing")).toBe(1);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("but not that of a peer that called again, and so began anew", () => {
    const { pair } = late();
    const { a, b } = pair;
    pair.filter = () => true;
    b.reboot();
    pair.input(b, { type: "timeout" });
    pair.connect(b);
    pair.run(() => bothUsable(pair), 5_000);
    expect(a.state(b)).toBe("R2-SENT");
    expect(a.drops("i2_crossing")).toBe(0);
    expect(problemsOf(pair)).toEqual([]);
  });
});

describe("with the greater HIT", () => {
  test("I2-SENT that accepts an I2 forgets what it derived for its own (6.9 step 5)", () => {
    const { pair, r1OfA } = reach("I2-SENT", { greater: true });
    const { a, b } = pair;
    const before = a.sa("in")?.spi;
    pair.deliver(a, i2Of(b, r1OfA));
    expect(a.state(b)).toBe("R2-SENT");
    expect(a.sas.has(`in/${before}`)).toBe(false);
    expect(a.sas.size).toBe(2);
    // An R2 to the I2 that was given up is nothing any more.
    pair.deliver(a, pair.sent(b, "R2") as Uint8Array);
    expect(a.drops("r2_unexpected")).toBe(1);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("an R2 whose job runs while an I2 is accepted comes to nothing", () => {
    const { pair, r1OfA } = reach("I2-SENT", { greater: true });
    const { a, b } = pair;
    a.holdJobs = ["accept-r2"];
    pair.deliver(a, pair.sent(b, "R2") as Uint8Array);
    expect(a.heldJobs).toHaveLength(1);
    pair.deliver(a, i2Of(b, r1OfA));
    expect(a.state(b)).toBe("R2-SENT");
    pair.releaseJobs(a);
    expect(a.drops("overtaken")).toBe(1);
    expect(a.state(b)).toBe("R2-SENT");
    expect(problemsOf(pair)).toEqual([]);
  });
});

describe("the answer to an R1 that takes longer than the exchange that came first", () => {
  test.each([
    ["an I2 of the peer was accepted", "I1-SENT", "I2"],
    ["an R2 was accepted", "I2-SENT", "R2"],
  ] as const)("is not sent in the next exchange either, when %s", (_name, state, packet) => {
    const reached = reach(state);
    const { pair } = reached;
    const { a, b } = pair;
    const first = validPacket(reached, packet);
    a.holdJobs = ["answer-r1"];
    pair.deliver(a, validPacket(reached, "R1"));
    expect(a.heldJobs).toHaveLength(1);
    pair.deliver(a, first);
    expect(["R2-SENT", "ESTABLISHED"]).toContain(a.state(b));
    pair.close(a);
    pair.connect(a);
    expect(a.state(b)).toBe("I1-SENT");
    const sent = pair.count("I2", a);
    pair.releaseJobs(a);
    expect(pair.count("I2", a)).toBe(sent);
    expect(a.state(b)).toBe("I1-SENT");
    expect(problemsOf(pair)).toEqual([]);
  });
});
