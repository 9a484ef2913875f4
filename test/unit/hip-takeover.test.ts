/** What another process goes on with besides open associations: those that are being closed, and R1s that were given out. */
import { describe, expect, test } from "vitest";
import type { Spi } from "../../src/core/types.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { Host } from "../../src/hip/host.ts";
import { get } from "../../src/wire/packet.ts";
import { HIP_MAC, R1_COUNTER, SEQ } from "../../src/wire/rfc7401.ts";
import { damaged, i2Of, r1Of, read } from "../support/packets.ts";
import { type Node, Pair } from "../support/pair.ts";
import { problemsOf } from "../support/pair-problems.ts";
import { reach } from "../support/states.ts";

/** Another process goes on, with what went through a file. */
function takeOver(pair: Pair, node: Node): void {
  const handed = structuredClone(node.host.handOver());
  node.heldJobs.length = 0;
  const local = node.identities.map(({ hit, suite }) => ({ hit, suite }));
  node.host = new Host(node.config, local, node, node.random);
  pair.take(node, node.host.resume(handed, pair.now));
  pair.input(node, { type: "timeout" });
}

const counterOf = (bytes: Uint8Array): bigint => get(read(bytes), R1_COUNTER)?.counter ?? -1n;

describe("a successor of a host that was closing an association", () => {
  test("repeats the CLOSE that was lost, and takes the answer to it", () => {
    const { pair } = reach("CLOSING");
    const { a, b } = pair;
    const close = pair.sent(a, "CLOSE");
    takeOver(pair, a);
    expect(a.state(b)).toBe("CLOSING");
    pair.filter = () => true;
    pair.run(() => a.state(b) === "UNASSOCIATED", 10_000);
    expect(pair.sent(a, "CLOSE")).toEqual(close);
    expect(b.state(a)).toBe("CLOSED");
    expect([...a.sas.keys()]).toEqual([]);
    expect(a.host.entries().spis).toBe(0);
  });

  test("signs the CLOSE anew when its predecessor was about to", () => {
    const pair = new Pair().establish();
    const { a, b } = pair;
    a.holdJobs = ["seal"];
    pair.close(a);
    takeOver(pair, a);
    a.holdJobs = false;
    pair.run(() => a.state(b) === "UNASSOCIATED", 10_000);
    expect(b.state(a)).toBe("CLOSED");
  });

  test("gives up when its time is over, as the predecessor would have", () => {
    const { pair } = reach("CLOSING");
    const { a, b } = pair;
    const { unusedAssociationLifetime, maximumSegmentLifetime } = DEFAULT_CONFIG.timers;
    takeOver(pair, a);
    pair.pass(unusedAssociationLifetime + maximumSegmentLifetime + 1_000);
    expect(a.state(b)).toBe("UNASSOCIATED");
    expect(problemsOf(pair).filter((text) => text.startsWith("a"))).toEqual([]);
  });

  test("forgets one with a peer that is configured no more", () => {
    const { pair } = reach("CLOSING");
    const { a, b } = pair;
    a.peers.clear();
    takeOver(pair, a);
    expect(a.state(b)).toBe("UNASSOCIATED");
    expect([...a.sas.keys()]).toEqual([]);
  });
});

describe("a successor of a host that a peer has closed an association with", () => {
  test("answers the CLOSE again, from memory", () => {
    const { pair } = reach("CLOSED");
    const { a, b } = pair;
    const ack = pair.sent(a, "CLOSE_ACK");
    takeOver(pair, a);
    expect(a.state(b)).toBe("CLOSED");
    let signed = 0;
    a.runner = (job, run) => {
      if (job.kind === "seal" || job.kind === "verify") signed++;
      return run(job);
    };
    pair.deliver(a, pair.sent(b, "CLOSE") as Uint8Array);
    expect(pair.flights.at(-1)?.name).toBe("CLOSE_ACK");
    expect(pair.sent(a, "CLOSE_ACK")).toEqual(ack);
    expect(signed).toBe(0);
  });

  test("begins a new exchange when data waits, also where its predecessor had begun one", () => {
    const { pair } = reach("CLOSED");
    const { a, b } = pair;
    pair.connect(a);
    takeOver(pair, a);
    pair.filter = () => true;
    pair.connect(a);
    pair.run(() => a.state(b) === "ESTABLISHED", 10_000);
    expect(problemsOf(pair).filter((text) => text.startsWith("a"))).toEqual([]);
  });
});

test("a successor signs once what its predecessor was signing when it changed", () => {
  const pair = new Pair({ carrier: "none" }).settled(["192.0.2.1"], ["198.51.100.7", "198.51.100.8"]);
  const { a, b } = pair;
  pair.filter = ({ from }) => from === b;
  a.holdJobs = ["seal"];
  pair.move(a, "192.0.2.2");
  pair.move(a, "192.0.2.2", "192.0.2.3");
  takeOver(pair, a);
  a.holdJobs = false;
  const signed: number[] = [];
  a.runner = (job, run) => {
    const seq = job.kind === "seal" ? job.draft.parameters.find(({ type }) => type === SEQ.type) : undefined;
    const id = seq === undefined ? undefined : SEQ.decode(seq.contents)?.updateId;
    if (id !== undefined) signed.push(id);
    return run(job);
  };
  pair.pass(3_000);
  expect(signed.length).toBeGreaterThan(1);
  expect(new Set(signed).size).toBe(signed.length);
});

describe("a successor of a Responder (RFC 7401 6.7.1)", () => {
  test("takes an I2 that answers its predecessor's R1", () => {
    const pair = new Pair();
    const { a, b } = pair;
    pair.connect(a);
    pair.run(() => pair.count("R1", b) === 1);
    takeOver(pair, b);
    pair.run(() => a.state(b) === "ESTABLISHED", 1_000);
    expect(b.drops("r1_unknown")).toBe(0);
    expect(pair.count("I1", a)).toBe(1);
  });

  test("also when the I2 was being worked on, and only repeated", () => {
    const pair = new Pair();
    const { a, b } = pair;
    b.holdJobs = ["accept-i2"];
    pair.connect(a);
    pair.run(() => b.heldJobs.length === 1);
    takeOver(pair, b);
    b.holdJobs = false;
    pair.run(() => a.state(b) === "ESTABLISHED", 5_000);
    expect(a.events("association-failed")).toEqual([]);
  });

  test("but no solution that made an association before", () => {
    const pair = new Pair();
    const { a, b } = pair;
    const i2 = i2Of(a, r1Of(pair, b, a));
    pair.deliver(b, i2);
    expect(b.state(a)).toBe("R2-SENT");
    pair.input(b, { type: "forget", peer: a.hit });
    takeOver(pair, b);
    pair.deliver(b, i2);
    expect(b.state(a)).toBe("UNASSOCIATED");
    expect(b.drops("i2_replayed")).toBe(1);
  });

  test("nor one that forged I2s have spent", () => {
    const pair = new Pair();
    const { a, b } = pair;
    const i2 = i2Of(a, r1Of(pair, b, a));
    const forged = damaged(i2, HIP_MAC.type);
    pair.deliver(b, forged);
    takeOver(pair, b);
    for (let n = 0; n < 4; n++) pair.deliver(b, forged);
    expect(b.drops("mac")).toBe(4);
    pair.deliver(b, i2);
    expect(b.state(a)).toBe("UNASSOCIATED");
    expect(b.drops("solution_forged")).toBe(2);
  });

  test("remembers R1s no longer than their predecessor would have, and none of an identity that is gone", () => {
    const { r1Remembered } = DEFAULT_CONFIG.timers;
    const pair = new Pair();
    const { a, b } = pair;
    const i2 = i2Of(a, r1Of(pair, b, a));
    takeOver(pair, b);
    pair.pass(r1Remembered / 2);
    takeOver(pair, b);
    pair.pass(r1Remembered / 2 + 1_000);
    pair.deliver(b, i2);
    expect([b.drops("r1_stale"), b.drops("r1_unknown")]).toContain(1);
    expect(b.state(a)).toBe("UNASSOCIATED");
  });

  test.each([7n, 5_001n, 5_009n])("never goes back with R1_COUNTER, whatever it begins with: %s", (start) => {
    const pair = new Pair({ configB: { r1CounterStart: 5_000n } });
    const { a, b } = pair;
    const next = b.host.handOver().r1s.generation;
    expect(next).toBe(5_010n);
    b.config = { ...b.config, r1CounterStart: start };
    takeOver(pair, b);
    pair.pass(100);
    expect(counterOf(r1Of(pair, b, a))).toBeGreaterThanOrEqual(next);
  });

  test("asks the holder of an identity again, on whose answer an I2 waited", () => {
    const pair = new Pair().establish();
    const { a, b } = pair;
    pair.input(b, { type: "esp", spi: b.sa("in")?.spi as Spi, event: "first-inbound" });
    const other = pair.add("a2", "203.0.113.50", a.identities);
    other.knows(b);
    pair.filter = ({ from, to }) => from !== a && to !== a;
    pair.input(other, { type: "connect", peer: b.hit });
    pair.run(() => pair.count("UPDATE", b) > 0);
    takeOver(pair, b);
    pair.run(() => other.state(b) === "ESTABLISHED", 6_000);
    expect(b.drops("i2_replayed")).toBe(0);
  });

  test("is handed a bounded number of R1s, those that were offered last", () => {
    const pair = new Pair({ config: { dhGroups: [7] } });
    const { a, b } = pair;
    let i2: Uint8Array | undefined;
    for (let n = 0; n < 300; n++) {
      i2 = i2Of(a, r1Of(pair, b, a));
      pair.take(b, b.host.configure(b.config, b.identities, pair.now));
      pair.now = (pair.now + 60) as never;
    }
    expect(b.host.gauges().r1Generations).toBeGreaterThan(256);
    const { r1s } = b.host.handOver().r1s;
    expect(r1s.length).toBe(256);
    takeOver(pair, b);
    pair.deliver(b, i2 as Uint8Array);
    expect(b.state(a)).toBe("R2-SENT");
  });
});
