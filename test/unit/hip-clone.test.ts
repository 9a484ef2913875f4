/** Two hosts with one identity, hosts that come back elsewhere, and hosts that said they would be away. */
import { describe, expect, test } from "vitest";
import type { Spi } from "../../src/core/types.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { identity, type Node, Pair, pathBetween } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";

const HOLD = DEFAULT_CONFIG.mobility.challenge;

/** a has an association with b; a2 has a's identity and is somewhere else. */
function cloned(): { readonly pair: Pair; readonly a: Node; readonly b: Node; readonly a2: Node } {
  const pair = new Pair();
  const { a, b } = pair;
  pair.establish();
  pair.input(b, { type: "esp", spi: b.sa("in")?.spi as Spi, event: "first-inbound" });
  const a2 = pair.add("a2", "203.0.113.50", a.identities);
  a2.knows(b);
  return { pair, a, b, a2 };
}

function calls(pair: Pair, from: Node, to: Node): void {
  pair.input(from, { type: "connect", peer: to.hit });
}

describe("a second host with the identity of a peer", () => {
  test("does not get the association while the first one answers; both are told who the other is", () => {
    const { pair, a, b, a2 } = cloned();
    const before = b.host.association(a.hit)?.inSpi;
    calls(pair, a2, b);
    pair.pass(3_000);
    expect(b.host.association(a.hit)?.inSpi).toBe(before);
    expect(b.host.association(a.hit)?.path?.remote.address).toBe(a.address);
    expect(b.events("clone-detected")[0]?.detail).toEqual({
      kept: "192.0.2.1:10500",
      refused: "203.0.113.50:10500",
    });
    expect(a.events("clone-detected")[0]?.detail).toEqual({ other: "203.0.113.50:10500" });
    expect(a2.events("clone-detected")[0]?.detail).toEqual({ other: "192.0.2.1:10500" });
    expect(a2.state(b)).toBe("I2-SENT");
    expect(unusable(pair)).toEqual([]);
  });

  test("gets it when the first one is gone, no later than the challenge lasts", () => {
    const { pair, a, b, a2 } = cloned();
    pair.filter = ({ from, to }) => from !== a && to !== a;
    calls(pair, a2, b);
    const start = pair.now;
    pair.run(() => a2.state(b) === "ESTABLISHED");
    expect(pair.now - start).toBeLessThanOrEqual(HOLD + 8 * pair.latency);
    expect(b.host.association(a.hit)?.path?.remote.address).toBe(a2.address);
    expect(b.events("clone-detected")).toEqual([]);
    expect(problemsOf(pair).filter((text) => text.startsWith("b"))).toEqual([]);
  });

  test("cannot make the first one lose it by calling again and again", () => {
    const { pair, a, b, a2 } = cloned();
    for (let i = 0; i < 10; i++) {
      calls(pair, a2, b);
      pair.pass(6_000);
    }
    expect(b.host.association(a.hit)?.path?.remote.address).toBe(a.address);
    expect(unusable(pair)).toEqual([]);
  });
});

test("a host that begins anew where it was is not made to wait", () => {
  const pair = new Pair();
  const { a, b } = pair;
  pair.establish();
  a.reboot();
  pair.start();
  pair.connect(a);
  const start = pair.now;
  pair.run(() => a.state(b) === "ESTABLISHED");
  expect(pair.now - start).toBeLessThanOrEqual(5 * pair.latency);
});

describe("an UPDATE of an association that we lost", () => {
  test("makes us call the peer where it should be, at once", () => {
    const pair = new Pair();
    const { a, b } = pair;
    pair.establish();
    pair.input(b, { type: "esp", spi: b.sa("in")?.spi as Spi, event: "first-inbound" });
    b.reboot();
    pair.start();
    pair.input(a, { type: "probe", peer: b.hit });
    pair.run(() => b.state(a) === "ESTABLISHED" && unusable(pair).length === 0, 1_000);
    expect(pair.count("I1", b)).toBe(1);
  });

  test("from a stranger, or too short to be one, is dropped; and hints are few", () => {
    const pair = new Pair();
    const { a, b } = pair;
    pair.establish();
    pair.input(a, { type: "probe", peer: b.hit });
    const update = pair.sent(a, "UPDATE") as Uint8Array;
    b.reboot();
    pair.start();
    b.peers.clear();
    pair.deliver(b, update);
    expect(pair.count("I1", b)).toBe(0);
    b.knows(a);
    const short = update.slice(0, 40);
    short[1] = 4;
    pair.deliver(b, short);
    expect(pair.count("I1", b)).toBe(0);
    for (let i = 0; i < 100; i++) {
      pair.deliver(b, update);
      pair.input(b, { type: "close", peer: a.hit });
    }
    expect(pair.count("I1", b)).toBe(20);
    const called = pair.flights.filter(({ from, name }) => from === b && name === "I1");
    expect(new Set(called.map(({ path }) => path.remote.address))).toEqual(new Set([a.address]));
  });
});

describe("a host that said that it would be away", () => {
  test("is waited for much longer than one that did not", () => {
    const pair = new Pair();
    const { a, b } = pair;
    pair.establish();
    pair.input(b, { type: "esp", spi: b.sa("in")?.spi as Spi, event: "first-inbound" });
    pair.input(a, { type: "away", seconds: 300 });
    pair.pass(1_000);
    expect(b.events("peer-away")[0]?.detail).toEqual({ seconds: 300 });
    pair.filter = () => false;
    pair.input(b, { type: "path-down", peer: a.hit, path: pathBetween(b, a) });
    pair.pass(250_000);
    expect(b.state(a)).toBe("ESTABLISHED");
    pair.filter = () => true;
    pair.pass(5_000);
    expect(b.host.paths(a.hit)[0]?.verified).toBe(true);
    // The time is over: as any other.
    pair.filter = () => false;
    pair.pass(60_000);
    pair.input(b, { type: "path-down", peer: a.hit, path: pathBetween(b, a) });
    pair.pass(60_000);
    expect(b.state(a)).toBe("CLOSING");
  });

  test("and comes back elsewhere is served when it calls", () => {
    const pair = new Pair({ a: [identity("ecdsa-p256", 0)] });
    const { a, b } = pair;
    pair.establish();
    pair.input(b, { type: "esp", spi: b.sa("in")?.spi as Spi, event: "first-inbound" });
    pair.input(a, { type: "away", seconds: 60 });
    pair.pass(1_000);
    a.reboot();
    a.moved = true;
    a.addresses = ["203.0.113.77"];
    pair.start();
    pair.connect(a);
    pair.run(() => a.state(b) === "ESTABLISHED", 5_000);
    expect(b.host.association(a.hit)?.path?.remote.address).toBe("203.0.113.77");
    expect(unusable(pair)).toEqual([]);
  });
});
