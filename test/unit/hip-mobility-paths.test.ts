/** Paths that fail, sources that differ, and peers that are hard to find again (RFC 8046 5). What simulated networks found. */
import { describe, expect, test } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import type { Instant, Path, Spi } from "../../src/core/types.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { i1 } from "../../src/hip/messages.ts";
import { get, parse } from "../../src/wire/packet.ts";
import { ECHO_REQUEST_SIGNED } from "../../src/wire/rfc7401.ts";
import { type Node, Pair, type PairOptions } from "../support/pair.ts";
import { unusable } from "../support/pair-problems.ts";
import { reach } from "../support/states.ts";

const A1 = "192.0.2.1";
const A2 = "192.0.2.2";
const B1 = "198.51.100.7";

function established(options: PairOptions = {}, a: readonly string[] = [A1]): Pair {
  return new Pair(options).settled(a, [B1]);
}

function pathOf(node: Node, peer: Node): Path {
  return node.host.paths(peer.hit)[0]?.path as Path;
}

describe("a path that does not answer", () => {
  test("is asked less and less often", () => {
    const pair = established({}, [A1, A2]);
    const { b } = pair;
    pair.filter = ({ path }) => path.local.address !== A2 && path.remote.address !== A2;
    pair.move(pair.a, A1);
    pair.pass(1_000);
    pair.move(pair.a, A1, A2);
    const asked = (millis: number): number => {
      const before = pair.flights.length;
      pair.pass(millis);
      return pair.flights.slice(before).filter(({ from, path }) => from === b && path.remote.address === A2)
        .length;
    };
    pair.pass(120_000);
    const early = asked(600_000);
    const late = asked(600_000);
    expect(late).toBeGreaterThan(0);
    expect(early).toBeLessThanOrEqual(30);
    expect(late).toBeLessThanOrEqual(12);
  });
});

test("many paths that never answer leave the peer within reach of the next UPDATE (RFC 7401 6.12.1)", () => {
  const pair = established();
  const { a, b } = pair;
  const dead = [2, 3, 4, 5, 6, 7, 8].map((host) => `192.0.2.${host}`);
  pair.filter = ({ path }) => !dead.includes(path.local.address) && !dead.includes(path.remote.address);
  pair.move(a, A1, ...dead);
  const before = pair.count("UPDATE", a);
  pair.pass(40 * 60_000);
  expect(pair.count("UPDATE", a) - before).toBeGreaterThan(200);
  const old = a.sa("in")?.spi;
  pair.input(a, { type: "esp", spi: a.sa("out")?.spi as Spi, event: "soft-expiry" });
  pair.pass(1_000);
  expect(b.drops("update_window")).toBe(0);
  expect(a.sa("in")?.spi).not.toBe(old);
  expect(a.events("association-rekeyed")).toHaveLength(1);
});

test("news that nobody acknowledges show that the path in use is dead", () => {
  const pair = established();
  const { a, b } = pair;
  pair.filter = () => false;
  // The address in use stays: nothing waits for an answer.
  pair.move(a, A1, A2);
  pair.pass(120_000);
  expect(a.state(b)).toBe("CLOSING");
});

describe("data that come to another address of ours than the one in use", () => {
  test("change nothing: the peer may choose where it reaches us", () => {
    const pair = established({}, [A1, A2]);
    const { a, b } = pair;
    const before = a.paths.length;
    const path: Path = { ...pathOf(a, b), local: { address: A2, port: 10500 } };
    for (let i = 0; i < 10; i++) {
      pair.input(a, { type: "moved", spi: a.sa("in")?.spi as Spi, path });
      pair.pass(1_000);
    }
    expect(a.paths.length).toBe(before);
    expect(a.events("handover")).toEqual([]);
    expect(unusable(pair)).toEqual([]);
  });
});

describe("a peer behind a NAT that gives each destination another port", () => {
  test("may send to another address of ours than we send from", () => {
    const pair = new Pair();
    const { b } = pair;
    const B2 = "198.51.100.8";
    const port = (address: string): number => (address === B2 ? 40_002 : 40_001);
    let towards = B1;
    pair.translate = (source) => (source.address === A1 ? { address: A1, port: port(towards) } : source);
    const deliver = pair.arrive.bind(pair);
    pair.arrive = (flight) => {
      towards = flight.path.remote.address;
      deliver(flight);
    };
    pair.move(b, B1, B2);
    pair.establish();
    pair.input(b, { type: "esp", spi: b.sa("in")?.spi as Spi, event: "first-inbound" });
    pair.pass(2_000);
    const other: Path = {
      carrier: "udp",
      local: { address: B2, port: 10500 },
      remote: { address: A1, port: 40_002 },
    };
    for (let i = 0; i < 10; i++) {
      pair.input(b, { type: "moved", spi: b.sa("in")?.spi as Spi, path: other });
      pair.pass(1_000);
    }
    // To the newer address at most, and not to and fro.
    expect(b.events("handover").length).toBeLessThanOrEqual(1);
  });
});

describe("a question whether the peer is at an address", () => {
  test("never goes to another one, even when the peer repeats what it answers", () => {
    const pair = established({}, [A1, A2]);
    const { a, b } = pair;
    // Alice claims to be where she is not, and repeats herself from where she is.
    pair.filter = ({ path }) => path.remote.address !== "203.0.113.9";
    pair.translate = (source) => (source.address === A2 ? { ...source, address: "203.0.113.9" } : source);
    const before = pair.flights.length;
    pair.input(a, { type: "handover", peer: b.hit, local: A2, remote: undefined });
    pair.pass(50);
    pair.translate = (source) => source;
    pair.pass(5_000);
    const nonces = new Map<string, Set<string>>();
    for (const { from, bytes, path } of pair.flights.slice(before)) {
      const packet = parse(bytes);
      const nonce = packet.ok ? get(packet.value, ECHO_REQUEST_SIGNED)?.data : undefined;
      if (from !== b || nonce === undefined) continue;
      const places = nonces.get(toHex(nonce)) ?? new Set();
      nonces.set(toHex(nonce), places.add(path.remote.address));
    }
    expect(nonces.size).toBeGreaterThan(0);
    expect([...nonces.values()].map(({ size }) => size)).toEqual([...nonces].map(() => 1));
    expect(b.paths.filter(({ path }) => path.remote.address === "203.0.113.9")).toEqual([]);
  });
});

test("a round trip with signatures in it does not compare with one that was probed", () => {
  const lowestRtt = { ...DEFAULT_CONFIG.mobility, pathPolicy: "lowest-rtt" } as const;
  const pair = established({ config: { mobility: lowestRtt } }, [A1, A2]);
  const { a, b } = pair;
  const paths = a.host.paths(b.hit).map(({ path }) => path);
  expect(paths).toHaveLength(2);
  // A check takes two times 10 ms on the way; probes say 12 and 14.
  const probe = (): void => {
    for (const [i, path] of paths.entries())
      pair.input(a, { type: "path-rtt", peer: b.hit, path, millis: 12 + 2 * i });
  };
  probe();
  pair.pass(5_000);
  const before = a.events("handover").length;
  for (let i = 0; i < 5; i++) {
    pair.input(a, { type: "handover", peer: b.hit, local: A2, remote: undefined });
    pair.pass(500);
    pair.input(a, { type: "handover", peer: b.hit, local: undefined, remote: undefined });
    pair.pass(500);
  }
  const asked = a.events("handover").slice(before);
  expect(asked.filter(({ detail }) => detail["reason"] === "lowest-rtt")).toEqual([]);
});

test("an answer from one of the peer's addresses does not change their order", () => {
  const pair = established({}, [A1, A2]);
  const { a, b } = pair;
  const order = (): readonly string[] => b.host.peerLocators(a.hit).map(({ endpoint }) => endpoint.address);
  expect(order()).toEqual([A1, A2]);
  pair.input(b, { type: "handover", peer: a.hit, local: undefined, remote: A2 });
  pair.pass(1_000);
  pair.input(b, { type: "handover", peer: a.hit, local: undefined, remote: A1 });
  pair.pass(1_000);
  expect(order()).toEqual([A1, A2]);
});

describe("the path in use that failed while its address was gone", () => {
  function back(loses: boolean): Pair {
    const pair = established();
    const { a, b } = pair;
    const path = pathOf(a, b);
    pair.move(a, "2001:db8::1");
    pair.input(a, { type: "path-down", peer: b.hit, path });
    pair.pass(1_000);
    if (loses) pair.filter = () => false;
    pair.move(a, A1);
    return pair;
  }

  test("is asked when the address is back", () => {
    const pair = back(false);
    pair.pass(1_000);
    expect(pair.a.host.paths(pair.b.hit)).toMatchObject([{ path: pathOf(pair.a, pair.b), verified: true }]);
  });

  test("ends the association when the peer is gone by then", () => {
    const pair = back(true);
    pair.pass(DEFAULT_CONFIG.mobility.search + 10_000);
    expect(pair.a.events("association-closed").map(({ detail }) => detail["reason"])).toEqual([
      "unreachable",
    ]);
  });
});

describe("where a peer was last", () => {
  test("is what it announced, too, although nobody has asked there yet", () => {
    const pair = established();
    const { a, b } = pair;
    pair.filter = ({ from }) => from === a;
    pair.move(a, A2);
    pair.pass(1_000);
    expect(b.host.lastLocators(a.hit).map(({ address }) => address)).toEqual([A2, A1]);
  });

  test("is not what a packet's source alone said", () => {
    const pair = established();
    const { a, b } = pair;
    pair.filter = ({ path }) => path.remote.address !== "203.0.113.9";
    const path: Path = { ...pathOf(b, a), remote: { address: "203.0.113.9", port: 666 } };
    pair.input(b, { type: "moved", spi: b.sa("in")?.spi as Spi, path });
    pair.pass(1_000);
    expect(b.host.lastLocators(a.hit).map(({ address }) => address)).toEqual([A1]);
  });

  test("is not where an I2 came from before the peer shows that it has our answer, and then at once", () => {
    const { pair } = reach("R2-SENT");
    const { a, b } = pair;
    expect(a.host.lastLocators(b.hit)).toEqual([]);
    const before = a.outputs.length;
    const spi = a.sa("in")?.spi as Spi;
    pair.input(a, { type: "esp", spi, event: "first-inbound" });
    expect(a.state(b)).toBe("ESTABLISHED");
    expect(a.outputs.slice(before)).toContainEqual({ type: "paths", peer: b.hit });
    expect(a.host.lastLocators(b.hit).map(({ address }) => address)).toEqual([b.address]);
  });
});

test("a peer that calls again is answered, although ours is the lesser HIT, when our calls come to nothing", () => {
  const { pair } = reach("I1-SENT", { greater: false });
  const { a, b } = pair;
  pair.filter = ({ from }) => from === b;
  const call = i1(b.hit, a.hit, [7]);
  pair.deliver(a, call);
  expect(pair.count("R1", a)).toBe(0);
  pair.run(() => pair.count("I1", a) > 1);
  pair.deliver(a, call);
  expect(pair.count("R1", a)).toBe(1);
});

test("a peer that calls from elsewhere than we look for it is answered at once, although ours is the lesser HIT", () => {
  const { pair } = reach("I1-SENT", { greater: false });
  const { a, b } = pair;
  pair.move(b, "198.51.100.99");
  pair.filter = () => true;
  pair.connect(b);
  pair.pass(6 * pair.latency);
  expect(a.state(b)).toBe("R2-SENT");
  expect(b.state(a)).toBe("ESTABLISHED");
  expect(unusable(pair)).toEqual([]);
});

test("a CLOSE that somebody sent on from elsewhere does not keep the peer from its answer", () => {
  const pair = established();
  const { a, b } = pair;
  const home = pathOf(a, b);
  pair.filter = ({ name }) => name !== "CLOSE";
  pair.close(b);
  const close = pair.sent(b, "CLOSE") as Uint8Array;
  pair.deliver(a, close, { ...home, remote: { address: "203.0.113.9", port: 666 } });
  expect(a.state(b)).toBe("CLOSED");
  pair.deliver(a, close, home);
  expect(pair.flights.at(-1)).toMatchObject({ name: "CLOSE_ACK", path: { remote: { address: B1 } } });
});

test("two questions that come to nothing in one moment do not take the path along that traffic goes from then on for dead", () => {
  const A3 = "192.0.2.3";
  const pair = new Pair();
  const { a, b } = pair;
  pair.move(a, A1, A3);
  pair.establish();
  for (const node of [a, b])
    pair.input(node, { type: "esp", spi: node.sa("in")?.spi as Spi, event: "first-inbound" });
  pair.pass(3_000);
  pair.filter = ({ path }) => [path.local.address, path.remote.address].includes(A3);
  pair.input(a, { type: "probe", peer: b.hit });
  pair.move(a, A1, A2, A3);
  pair.pass(14_500);
  expect(a.host.association(b.hit)?.path?.local.address).toBe(A1);
  // The machine stands still until both have been repeated often enough.
  pair.now = (pair.now + 10_000) as Instant;
  pair.input(a, { type: "timeout" });
  const [first] = a.host.paths(b.hit);
  expect([first?.path.local.address, first?.verified]).toEqual([A3, true]);
  pair.pass(3_000);
  expect(a.events("handover").map(({ detail }) => detail["reason"])).toEqual(["path-dead"]);
});
