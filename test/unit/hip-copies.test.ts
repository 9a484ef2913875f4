/** UPDATEs that come again: a peer without an answer gets it at once, and whoever replays them costs little (RFC 7401 6.12.1). */
import { describe, expect, test } from "vitest";
import type { Instant, Path } from "../../src/core/types.ts";
import { paid } from "../../src/hip/update-state.ts";
import { has } from "../../src/wire/packet.ts";
import { ACK, SEQ } from "../../src/wire/rfc7401.ts";
import { ESP_INFO } from "../../src/wire/rfc7402.ts";
import { read, sealed } from "../support/packets.ts";
import { type Flight, type Node, Pair, pathBetween } from "../support/pair.ts";

const AT_ONCE = 3;
const B1 = "198.51.100.7";
const B2 = "198.51.100.8";
const B3 = "198.51.100.9";

function established(b?: readonly string[]): Pair {
  return new Pair({ config: { dhGroups: [7] } }).settled(undefined, b);
}

function probe(pair: Pair, from: Node): void {
  pair.input(from, { type: "probe", peer: pair.other(from).hit });
}

function checks(node: Node): number {
  return node.outputs.filter((one) => one.type === "job" && one.job.kind === "verify").length;
}

function later(pair: Pair, millis: number): void {
  pair.now = (pair.now + millis) as Instant;
}

const isUpdate = ({ name }: Flight): boolean => name === "UPDATE";
const asks = (flight: Flight): boolean => isUpdate(flight) && has(read(flight.bytes), SEQ);
const acknowledges = (flight: Flight): boolean => isUpdate(flight) && has(read(flight.bytes), ACK);

function elsewhere(pair: Pair): Path {
  const { a, b } = pair;
  return { ...pathBetween(a, b), remote: { address: "203.0.113.66", port: 4500 } };
}

describe("a peer that has no answer", () => {
  test.each([
    ["nobody is in a hurry", 4, probe],
    ["its data wait at a new address", 7, (pair: Pair, b: Node): void => pair.move(b, B3)],
    ["its data wait at another address", 7, (pair: Pair, b: Node): void => pair.move(b, B2)],
  ] as const)("gets one each time that it asks, where %s", (_, least, ask) => {
    const pair = established([B1, B2]);
    const { a, b } = pair;
    pair.filter = ({ from }) => from === b;
    const before = pair.flights.length;
    ask(pair, b);
    pair.pass(8_000);
    const flights = pair.flights.slice(before);
    const asked = flights.filter((one) => one.from === b && asks(one));
    expect(asked.length).toBeGreaterThanOrEqual(least);
    // Each at once: what our own questions bring besides does not count.
    const answers = flights.filter((one) => one.from === a && acknowledges(one));
    const unanswered = asked.filter(({ at }) => !answers.some((one) => one.at === at + pair.latency));
    expect(unanswered).toEqual([]);
    expect(a.drops("update_repeated")).toBe(0);
  });

  test("has it in time however often somebody replays its UPDATE", () => {
    const pair = established();
    const { a, b } = pair;
    pair.filter = ({ from }) => from === b;
    probe(pair, b);
    const recorded = pair.sent(b, "UPDATE") as Uint8Array;
    pair.pass(100);
    for (let n = 0; n < 100; n++) {
      pair.deliver(a, recorded, elsewhere(pair));
      pair.pass(5);
    }
    pair.filter = () => true;
    for (let n = 0; n < 100; n++) {
      pair.deliver(a, recorded, elsewhere(pair));
      pair.pass(5);
    }
    // Nothing waits any more: it has the answer.
    const sent = pair.count("UPDATE", b);
    pair.pass(30_000);
    expect(pair.count("UPDATE", b)).toBe(sent);
    expect(b.state(a)).toBe("ESTABLISHED");
  });
});

describe("copies of an UPDATE that somebody has recorded", () => {
  test("of the last one bring one answer in 100 ms, to the peer", () => {
    const pair = established();
    const { a, b } = pair;
    pair.filter = () => false;
    probe(pair, b);
    const recorded = pair.sent(b, "UPDATE") as Uint8Array;
    pair.deliver(a, recorded);
    const sent = pair.count("UPDATE", a);
    for (let n = 0; n < 1_000; n++) {
      pair.deliver(a, recorded, elsewhere(pair));
      later(pair, 1);
    }
    expect(pair.count("UPDATE", a) - sent).toBe(10);
    expect(a.drops("update_repeated")).toBe(990);
    expect(checks(a)).toBe(1);
    expect(
      pair.flights.filter(({ from }) => from === a).map(({ path }) => path.remote.address),
    ).not.toContain("203.0.113.66");
  });

  test("of older ones cost one signature a second, and a few at once", () => {
    const pair = established();
    const { a, b } = pair;
    pair.filter = () => false;
    const recorded = [7, 8].map((updateId) => sealed(b, a.hit, "UPDATE", [SEQ.of({ updateId })]));
    for (const one of recorded) pair.deliver(a, one);
    const before = checks(a);
    // Either is older than the one that was answered last.
    for (let n = 0; n < 1_000; n++) {
      for (const one of recorded) pair.deliver(a, one, elsewhere(pair));
      later(pair, 10);
    }
    expect(checks(a) - before).toBeGreaterThanOrEqual(9);
    expect(checks(a) - before).toBeLessThanOrEqual(AT_ONCE + 9);
  });

  const unknownSa = [ESP_INFO.of({ keymatIndex: 0, oldSpi: 0x1111, newSpi: 0x2222 })];
  const notUnderstood = [{ type: 1_001, contents: new Uint8Array(4) }];

  test.each([
    ["that is about no SA", "rekey_spi", unknownSa],
    ["with what we do not know", "unknown_critical_parameter", notUnderstood],
  ])("%s, which was dropped, cost no more", (_, reason, parameters) => {
    const pair = established();
    const { a, b } = pair;
    const dropped = sealed(b, a.hit, "UPDATE", [...parameters, SEQ.of({ updateId: 10 })]);
    const before = checks(a);
    for (let n = 0; n < 1_000; n++) {
      pair.deliver(a, dropped, elsewhere(pair));
      later(pair, 10);
    }
    expect(checks(a) - before).toBe(1 + AT_ONCE + 9);
    expect(a.drops(reason)).toBe(1 + AT_ONCE + 9);
    expect(a.drops("update_repeated")).toBe(1_000 - 1 - AT_ONCE - 9);
    // Others are as new as ever.
    for (const updateId of [9, 11, 12]) pair.deliver(a, sealed(b, a.hit, "UPDATE", [SEQ.of({ updateId })]));
    expect(checks(a) - before).toBe(1 + AT_ONCE + 9 + 3);
  });

  test("when the peer repeats one that was dropped, each is looked at", () => {
    const pair = established();
    const { a, b } = pair;
    const dropped = sealed(b, a.hit, "UPDATE", [...unknownSa, SEQ.of({ updateId: 10 })]);
    const start = pair.now;
    // With the least jitter.
    for (const at of [0, 375, 1_125, 2_625, 5_625]) {
      pair.now = (start + at) as Instant;
      pair.deliver(a, dropped);
    }
    expect(a.drops("rekey_spi")).toBe(5);
    expect(a.drops("update_repeated")).toBe(0);
  });
});

test("what copies cost is paid off in time", () => {
  let until: number | undefined = Number.NEGATIVE_INFINITY;
  // As slowly as UPDATEs are repeated at the fastest, in a hurry (0.75 of 150, 300, 600, 1200 and 2000 ms).
  for (const at of [112, 337, 787, 1_687, 3_187, 4_687, 6_187]) {
    until = paid(until, at);
    if (until === undefined) throw new Error(`dropped at ${at}`);
  }
  expect(paid(3_000, 1_000)).toBe(4_000);
  expect(paid(3_001, 1_000)).toBeUndefined();
});
