/** Which of several working paths is taken, and sources that move again and again. */
import { describe, expect, test } from "vitest";
import type { Endpoint, Path, Spi } from "../../src/core/types.ts";
import { Identity } from "../../src/crypto/identity.ts";
import { type Node, ownLocator, Pair } from "../support/pair.ts";

const A4 = "192.0.2.1";
const A6 = "2001:db8:1::1";
const B4 = "198.51.100.7";
const B6 = "2001:db8:2::1";

function established(a: readonly string[] = [A4], b: readonly string[] = [B4]): Pair {
  return new Pair().settled(a, b);
}

/** Tells a host of its addresses with these preferences. */
function rank(pair: Pair, node: Node, preferences: Readonly<Record<string, number>>): void {
  const own = Object.entries(preferences).map(([address, preference], at) => ({
    ...ownLocator(address, at),
    preference,
  }));
  pair.input(node, { type: "locators", own });
}

function current(node: Node, peer: Node): Endpoint | undefined {
  return node.host.paths(peer.hit)[0]?.path.remote;
}

const NORMAL = 20_000;

describe("a peer that leaves the address in use", () => {
  test("for one that is verified is followed at once, freely; its preferences count afterwards", () => {
    const A2 = "192.0.2.2";
    const pair = established([A4, A2]);
    const { a, b } = pair;
    const before = b.paths.length;
    pair.move(a, A2);
    pair.pass(5_000);
    expect(b.paths.slice(before).map(({ path, verified }) => [path.remote.address, verified])).toEqual([
      [A2, true],
    ]);
    expect(b.events("handover").map(({ detail }) => detail["reason"])).toEqual(["peer-moved"]);
    pair.move(a, A4, A2);
    pair.pass(5_000);
    expect(current(b, a)?.address).toBe(A4);
  });
});

describe("by hand", () => {
  const A2 = "192.0.2.2";

  test("the association goes where it is told, and stays there", () => {
    const pair = established([A4, A2]);
    const { a, b } = pair;
    const from = (): string | undefined => a.host.paths(b.hit)[0]?.path.local.address;
    pair.input(a, { type: "handover", peer: b.hit, local: A2, remote: undefined });
    pair.pass(30_000);
    expect([from(), current(a, b)?.address, current(b, a)?.address]).toEqual([A2, B4, A2]);
    expect(a.events("handover").map(({ detail }) => detail["reason"])).toEqual(["asked"]);
    expect([...a.paths, ...b.paths].every(({ verified }) => verified)).toBe(true);
    pair.input(a, { type: "handover", peer: b.hit, local: undefined, remote: undefined });
    pair.pass(10_000);
    expect([from(), current(b, a)?.address]).toEqual([A4, A4]);
  });

  test("an address that is not there fails", () => {
    const pair = established();
    pair.input(pair.a, { type: "handover", peer: pair.b.hit, local: "192.0.2.99", remote: undefined });
    expect(pair.a.events("handover-failed")).toHaveLength(1);
  });
});

describe("between two families", () => {
  test("an address that is about to go is left for one that stays, whatever the peer prefers", () => {
    const pair = established([A4, A6], [B4, B6]);
    const { a, b } = pair;
    rank(pair, b, { [B4]: NORMAL + 1, [B6]: NORMAL });
    rank(pair, a, { [A4]: NORMAL + 1, [A6]: NORMAL });
    pair.pass(5_000);
    expect(current(a, b)?.address).toBe(B4);
    rank(pair, a, { [A6]: NORMAL, [A4]: 5_000 });
    pair.pass(5_000);
    expect(current(a, b)?.address).toBe(B6);
    expect(current(b, a)?.address).toBe(A6);
    expect([...a.paths, ...b.paths].every(({ verified }) => verified)).toBe(true);
  });

  test("a path that works is not left for one that both only rank higher", () => {
    const pair = established([A4, A6], [B4, B6]);
    const { a, b } = pair;
    expect(current(a, b)?.address).toBe(B4);
    rank(pair, a, { [A6]: NORMAL + 1, [A4]: NORMAL });
    rank(pair, b, { [B6]: NORMAL + 1, [B4]: NORMAL });
    pair.pass(5_000);
    expect(current(a, b)?.address).toBe(B4);
    expect(current(b, a)?.address).toBe(A4);
    const quiet = pair.flights.length;
    pair.pass(60_000);
    expect(pair.flights.length).toBe(quiet);
  });

  test("what an operator chose goes before the peer's preference", () => {
    const pair = established([A4, A6], [B4, B6]);
    const { a, b } = pair;
    rank(pair, b, { [B6]: NORMAL + 1, [B4]: NORMAL });
    rank(pair, a, { [A4]: 40_000, [A6]: NORMAL });
    pair.pass(5_000);
    expect(current(a, b)?.address).toBe(B4);
    expect(current(b, a)?.address).toBe(A4);
  });
});

describe("a NAT that rebinds", () => {
  /** a is behind a NAT with this public mapping. */
  function mapped(pair: Pair, mapping: Endpoint): Path {
    pair.translate = (source) => (source.address === A4 ? mapping : source);
    pair.translateBack = (target) =>
      target.address === mapping.address ? { address: A4, port: 10500 } : target;
    pair.filter = ({ from, path }) =>
      from === pair.a || (path.remote.address === mapping.address && path.remote.port === mapping.port);
    pair.a.addresses = [A4, mapping.address];
    return { carrier: "udp", local: { address: B4, port: 10500 }, remote: mapping };
  }
  const FIRST = { address: "203.0.113.1", port: 40_001 };
  const SECOND = { address: "203.0.113.9", port: 40_002 };

  function hint(pair: Pair, path: Path): void {
    pair.input(pair.b, { type: "moved", spi: pair.b.sa("in")?.spi as Spi, path });
  }

  test("to another mapping and back to the first is followed at once each time", () => {
    const pair = established();
    const { a, b } = pair;
    for (const mapping of [FIRST, SECOND, FIRST, SECOND]) {
      hint(pair, mapped(pair, mapping));
      pair.pass(100);
      expect(current(b, a)).toEqual(mapping);
    }
    pair.pass(30_000);
    expect(current(b, a)).toEqual(SECOND);
  });

  test("is followed although the peer announced the mapping that is gone", () => {
    const pair = established();
    const { a, b } = pair;
    hint(pair, mapped(pair, FIRST));
    pair.pass(100);
    const own = [
      ownLocator(A4, 0),
      { ...ownLocator(FIRST.address, 1), ...FIRST, kind: "reflexive" as const, local: false },
    ];
    pair.input(a, { type: "locators", own });
    pair.pass(1_000);
    expect(b.host.peerLocators(a.hit).map(({ endpoint }) => endpoint)).toContainEqual(FIRST);
    hint(pair, mapped(pair, SECOND));
    pair.pass(100);
    expect(current(b, a)).toEqual(SECOND);
    pair.pass(30_000);
    expect(current(b, a)).toEqual(SECOND);
  });

  test("back to a mapping that the peer has denied meanwhile is followed, but for what was still on its way", () => {
    const pair = established();
    const { a, b } = pair;
    const announce = (mapping: Endpoint): void => {
      const reflexive = {
        ...ownLocator(mapping.address, 1),
        ...mapping,
        kind: "reflexive" as const,
        local: false,
      };
      pair.input(a, { type: "locators", own: [ownLocator(A4, 0), reflexive] });
      pair.pass(500);
    };
    hint(pair, mapped(pair, FIRST));
    pair.pass(100);
    announce(FIRST);
    hint(pair, mapped(pair, SECOND));
    pair.pass(100);
    announce(SECOND);
    const status = b.host
      .peerLocators(a.hit)
      .find(({ endpoint }) => endpoint.address === FIRST.address)?.status;
    expect(status).toBe("DEPRECATED");
    const late = { carrier: "udp", local: { address: B4, port: 10500 }, remote: FIRST } as const;
    hint(pair, late);
    pair.pass(300);
    expect(b.drops("moved_deprecated")).toBe(1);
    expect(current(b, a)).toEqual(SECOND);
    pair.pass(1_000);
    hint(pair, mapped(pair, FIRST));
    pair.pass(100);
    expect(current(b, a)).toEqual(FIRST);
  });

  test("while only its keepalives go out is noticed by them", () => {
    const pair = new Pair();
    const { a, b } = pair;
    mapped(pair, FIRST);
    pair.establish();
    pair.input(b, { type: "esp", spi: b.sa("in")?.spi as Spi, event: "first-inbound" });
    pair.pass(1_000);
    expect(current(b, a)).toEqual(FIRST);
    mapped(pair, SECOND);
    pair.pass(16_000);
    expect(current(b, a)).toEqual(SECOND);
  });

  test("a source of a repeated keepalive is asked once a second at most, and not followed", () => {
    const pair = new Pair();
    const { a, b } = pair;
    mapped(pair, FIRST);
    pair.establish();
    pair.input(b, { type: "esp", spi: b.sa("in")?.spi as Spi, event: "first-inbound" });
    pair.pass(16_000);
    const keepalive = pair.sent(a, "NOTIFY") as Uint8Array;
    const before = pair.count("UPDATE", b);
    for (let i = 0; i < 50; i++) {
      const remote = { address: `203.0.113.${100 + i}`, port: 9 };
      pair.deliver(b, keepalive, { carrier: "udp", local: { address: B4, port: 10500 }, remote });
    }
    expect(pair.count("UPDATE", b) - before).toBe(1);
    expect(b.drops("source_hints")).toBe(49);
    pair.pass(30_000);
    expect(current(b, a)).toEqual(FIRST);
  });
});

test("a check that becomes urgent is sent again at once", () => {
  const pair = established([A4, "192.0.2.2"]);
  const { a, b } = pair;
  pair.filter = ({ path }) => path.local.address !== "192.0.2.2" && path.remote.address !== "192.0.2.2";
  // A spare path that is asked with growing intervals, in vain so far.
  pair.move(a, A4, "192.0.2.2", "192.0.2.3");
  pair.filter = ({ path }) => path.local.address !== "192.0.2.3" && path.remote.address !== "192.0.2.3";
  pair.pass(6_000);
  const before = pair.flights.length;
  const path = a.host.paths(b.hit)[0]?.path as Path;
  pair.input(a, { type: "path-down", peer: b.hit, path });
  pair.pass(1);
  const asked = pair.flights.slice(before).map((one) => one.path.local.address);
  expect(asked).toContain("192.0.2.3");
});

test("news that nothing waits for go out to many peers over seconds, and all of them get it", () => {
  const pair = new Pair();
  const { a } = pair;
  const peers = Array.from({ length: 200 }, (_, at) => {
    const node = pair.add(`p${at}`, `198.51.100.${at + 20}`, [Identity.generate("ecdsa-p256")]);
    a.knows(node);
    node.knows(a);
    pair.input(a, { type: "connect", peer: node.hit });
    return node;
  });
  pair.run(() => peers.every((node) => a.state(node) === "ESTABLISHED"));
  const before = pair.count("UPDATE", a);
  pair.move(a, A4, "192.0.2.2");
  expect(pair.count("UPDATE", a) - before).toBeLessThanOrEqual(100);
  const knows = (node: Node): boolean => node.host.peerLocators(a.hit).length === 2;
  pair.run(() => peers.every(knows), 30_000);
  expect(a.drops("jobs_full")).toBe(0);
});

test("an address that comes a moment after the others is tried while nothing else answers", () => {
  const pair = established([A4, A6], [B4, B6]);
  const { a, b } = pair;
  // Only IPv6 is left between the two, and b hears of its new IPv6 address last.
  pair.filter = ({ path }) => path.remote.address.includes(":");
  pair.move(a, A6);
  pair.pass(2_000);
  pair.move(b, "198.51.100.99");
  pair.pass(14);
  pair.move(b, "198.51.100.99", "2001:db8:2::99");
  const start = pair.now;
  pair.run(() => current(b, a)?.address === A6 && current(a, b)?.address === "2001:db8:2::99", 40_000);
  expect(pair.now - start).toBeLessThanOrEqual(6 * pair.latency);
});

test("an address that is gone for a moment only is used again while nothing else answers", () => {
  const pair = established([A4, A6], [B4, B6]);
  const { a, b } = pair;
  pair.move(a, A6);
  pair.pass(2_000);
  expect(current(b, a)?.address).toBe(A6);
  // Without IPv6 it tries where the peer has been before.
  pair.move(b, B4);
  expect(current(b, a)?.address).toBe(A4);
  pair.pass(5);
  pair.move(b, B4, B6);
  pair.pass(4 * pair.latency);
  expect(b.host.paths(a.hit)[0]?.path).toMatchObject({ local: { address: B6 }, remote: { address: A6 } });
});

test("a host with nothing but link-local addresses has nothing to tell a peer elsewhere, until it has (RFC 8047 5.1)", () => {
  const linkLocal = ["169.254.7.7", "169.254.7.8"];
  const pair = established(linkLocal);
  const { a, b } = pair;
  const before = pair.count("UPDATE");
  pair.move(a, ...linkLocal, "169.254.7.9");
  pair.pass(60_000);
  expect(pair.count("UPDATE") - before).toBeLessThanOrEqual(10);
  pair.move(a, ...linkLocal, A4);
  pair.pass(5_000);
  expect(b.host.peerLocators(a.hit).map(({ endpoint }) => endpoint.address)).toContain(A4);
});
