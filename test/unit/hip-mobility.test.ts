/** A host's addresses change and its associations go on (RFC 8046). */
import { describe, expect, test } from "vitest";
import { type Path, pathText, type Spi } from "../../src/core/types.ts";
import type { HostOutput } from "../../src/hip/io.ts";
import { get, has, parse } from "../../src/wire/packet.ts";
import { ACK, ECHO_REQUEST_SIGNED, ECHO_RESPONSE_SIGNED, ENCRYPTED, SEQ } from "../../src/wire/rfc7401.ts";
import { ESP_INFO } from "../../src/wire/rfc7402.ts";
import { LOCATOR_SET, locatorParts } from "../../src/wire/rfc8046.ts";
import { type Flight, type Node, ownLocator, Pair, type PairOptions } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";

const A1 = "192.0.2.1";
const A2 = "192.0.2.2";
const A6 = "2001:db8:1::1";
const B1 = "198.51.100.7";
const B2 = "198.51.100.8";
const B6 = "2001:db8:2::1";

/** Both ESTABLISHED, each told its own addresses. */
function established(
  options: PairOptions = {},
  a: readonly string[] = [A1],
  b: readonly string[] = [B1],
): Pair {
  return new Pair(options).settled(a, b);
}

/** From which address to which a host sends data, and whether freely. */
function sending(node: Node, peer: Node): string {
  const [current] = node.host.paths(peer.hit);
  const told = node.paths.at(-1);
  const free = told === undefined || told.verified;
  return `${current?.path.local.address}>${current?.path.remote.address}${free ? "" : " on credit"}`;
}

function handovers(node: Node): readonly string[] {
  return node.events("handover").map(({ detail }) => String(detail["reason"]));
}

/** The packets after a moment, as text: who, which parameters. */
function story(flights: readonly Flight[]): readonly string[] {
  return flights.map(({ from, bytes, path }) => {
    const packet = parse(bytes);
    if (!packet.ok) return "?";
    const named = [ESP_INFO, LOCATOR_SET, SEQ, ACK, ENCRYPTED, ECHO_REQUEST_SIGNED, ECHO_RESPONSE_SIGNED];
    const held = named.filter((one) => has(packet.value, one)).map(({ name }) => name);
    return `${from.name} ${path.local.address}>${path.remote.address} ${held.join(",")}`;
  });
}

describe("a host that gets another address in place of its own (RFC 8046 3.2.1)", () => {
  test.each(["udp", "none"] as const)("tells its peer in three packets, carrier %s", (carrier) => {
    const pair = established({ carrier });
    const { a, b } = pair;
    const before = pair.flights.length;
    pair.move(a, A2);
    pair.pass(1_000);
    const set = carrier === "udp" ? "ENCRYPTED" : "LOCATOR_SET";
    const [first, ...rest] = story(pair.flights.slice(before));
    expect(first).toBe(
      carrier === "udp"
        ? `a ${A2}>${B1} ESP_INFO,SEQ,${set},ECHO_REQUEST_SIGNED`
        : `a ${A2}>${B1} ESP_INFO,${set},SEQ,ECHO_REQUEST_SIGNED`,
    );
    expect(rest).toEqual([
      `b ${B1}>${A2} ESP_INFO,SEQ,ACK,ECHO_REQUEST_SIGNED,ECHO_RESPONSE_SIGNED`,
      `a ${A2}>${B1} ACK,ECHO_RESPONSE_SIGNED`,
    ]);
    expect(sending(a, b)).toBe(`${A2}>${B1}`);
    expect(sending(b, a)).toBe(`${B1}>${A2}`);
    expect(handovers(a)).toEqual(["address-gone"]);
    expect(handovers(b)).toEqual(["peer-moved"]);
    expect([...problemsOf(pair), ...unusable(pair)]).toEqual([]);
  });

  test("without UDP lists the address with its SPI (type 1)", () => {
    const pair = established({ carrier: "none" });
    const before = pair.flights.length;
    pair.move(pair.a, A2);
    const packet = parse(pair.flights[before]?.bytes as Uint8Array);
    const set = packet.ok ? get(packet.value, LOCATOR_SET) : undefined;
    expect(set?.locators).toHaveLength(1);
    const [locator] = set?.locators ?? [];
    expect(locator).toMatchObject({ locatorType: 1, trafficType: 0, preferred: true });
    const parts = locator === undefined ? undefined : locatorParts(locator);
    expect(parts).toMatchObject({ spi: pair.a.sa("in")?.spi, address: Uint8Array.of(192, 0, 2, 2) });
    const info = packet.ok ? get(packet.value, ESP_INFO) : undefined;
    expect(info?.oldSpi).toBe(pair.a.sa("in")?.spi);
    expect(info?.newSpi).toBe(pair.a.sa("in")?.spi);
  });

  test("sends data from there at once; the peer sends there on credit until it knows that the host is there", () => {
    const pair = established();
    const { a, b } = pair;
    pair.move(a, A2);
    expect(sending(a, b)).toBe(`${A2}>${B1}`);
    pair.run(() => b.paths.length > 0);
    expect(sending(b, a)).toBe(`${B1}>${A2} on credit`);
    expect(b.host.peerLocators(a.hit).map(({ endpoint, status }) => [endpoint.address, status])).toEqual([
      [A2, "UNVERIFIED"],
      [A1, "DEPRECATED"],
    ]);
    pair.pass(1_000);
    expect(sending(b, a)).toBe(`${B1}>${A2}`);
    expect(b.host.peerLocators(a.hit).map(({ status }) => status)).toContain("ACTIVE");
  });

  test("is never given data freely at an address that does not answer", () => {
    const pair = established();
    const { a, b } = pair;
    // Somebody sends the UPDATE on from an address that is not the host's.
    pair.translate = (source) => (source.address === A2 ? { ...source, address: "203.0.113.66" } : source);
    pair.filter = ({ path }) => path.remote.address !== A2;
    pair.move(a, A2);
    pair.pass(20_000);
    expect(b.paths.length).toBeGreaterThan(0);
    expect(b.paths.filter(({ verified }) => verified)).toEqual([]);
  });

  test("gets through although the first three UPDATEs are lost", () => {
    const pair = established();
    const { a, b } = pair;
    let lost = 3;
    pair.filter = () => lost-- <= 0;
    pair.move(a, A2);
    pair.pass(3_000);
    expect(sending(b, a)).toBe(`${B1}>${A2}`);
    expect(unusable(pair)).toEqual([]);
  });

  test("ten times, and back again, in one second", () => {
    const pair = established();
    const { a, b } = pair;
    for (let i = 0; i < 10; i++) {
      pair.move(a, i % 2 === 0 ? A2 : A1);
      pair.pass(i === 4 ? 0 : 90);
    }
    pair.pass(5_000);
    expect(sending(a, b)).toBe(`${A1}>${B1}`);
    expect(sending(b, a)).toBe(`${B1}>${A1}`);
    expect([...problemsOf(pair), ...unusable(pair)]).toEqual([]);
  });

  test("from IPv4 to IPv6 and back", () => {
    const pair = established({}, [A1], [B1, B6]);
    const { a, b } = pair;
    pair.move(a, A6);
    pair.pass(3_000);
    expect(sending(a, b)).toBe(`${A6}>${B6}`);
    expect(sending(b, a)).toBe(`${B6}>${A6}`);
    pair.move(a, A1);
    pair.pass(3_000);
    expect(sending(a, b)).toBe(`${A1}>${B1}`);
    expect(sending(b, a)).toBe(`${B1}>${A1}`);
  });

  test("at the same moment as its peer, when one of its peer's addresses stays", () => {
    const pair = established({}, [A1], [B1, B2]);
    const { a, b } = pair;
    pair.move(a, A2);
    pair.move(b, B2);
    pair.pass(10_000);
    expect(sending(a, b)).toBe(`${A2}>${B2}`);
    expect(sending(b, a)).toBe(`${B2}>${A2}`);
    expect(unusable(pair)).toEqual([]);
  });

  test("at the same moment as its peer, and neither knows the other's: once one is back, it goes on", () => {
    const pair = established();
    const { a, b } = pair;
    pair.move(a, A2);
    pair.move(b, B2);
    pair.pass(5_000);
    expect(a.state(b)).toBe("ESTABLISHED");
    pair.move(b, B1);
    pair.pass(5_000);
    expect(sending(a, b)).toBe(`${A2}>${B1}`);
    expect(sending(b, a)).toBe(`${B1}>${A2}`);
    expect(unusable(pair)).toEqual([]);
  });

  test("is given up after a while when the peer is nowhere; data then begins a new exchange", () => {
    const pair = established();
    const { a, b } = pair;
    pair.move(b, B2);
    pair.move(a, A2);
    pair.pass(60_000);
    expect(a.state(b)).toBe("CLOSING");
    expect(a.events("association-closed").at(-1)?.detail["reason"]).toBe("unreachable");
    expect(a.events("handover-failed")[0]?.detail["reason"]).toBe("address-gone");
  });
});

describe("a host that gets one more address", () => {
  test("tells the peer, which checks it and goes on as before", () => {
    const pair = established();
    const { a, b } = pair;
    pair.move(a, A1, A2);
    pair.pass(3_000);
    expect(sending(a, b)).toBe(`${A1}>${B1}`);
    expect(sending(b, a)).toBe(`${B1}>${A1}`);
    expect(b.host.peerLocators(a.hit).map(({ endpoint, status }) => [endpoint.address, status])).toEqual([
      [A1, "ACTIVE"],
      [A2, "ACTIVE"],
    ]);
    const known = (node: Node, peer: Node): readonly string[] =>
      node.host
        .paths(peer.hit)
        .filter(({ verified }) => verified)
        .map(({ path }) => pathText(path))
        .toSorted();
    expect(known(a, b)).toHaveLength(2);
    expect(known(b, a)).toHaveLength(2);
  });

  test("and likes it better: both go there when it answers, and no data goes anywhere unverified", () => {
    const pair = established();
    const { a, b } = pair;
    pair.move(a, A2, A1);
    pair.pass(3_000);
    expect(sending(a, b)).toBe(`${A2}>${B1}`);
    expect(sending(b, a)).toBe(`${B1}>${A2}`);
    expect([...a.paths, ...b.paths].filter(({ verified }) => !verified)).toEqual([]);
    expect(handovers(a)).toEqual(["address-preferred"]);
    expect(handovers(b)).toEqual(["peer-preferred"]);
    // Then the first one goes: nothing happens but the news.
    pair.move(a, A2);
    pair.pass(3_000);
    expect(sending(b, a)).toBe(`${B1}>${A2}`);
    expect(handovers(b)).toHaveLength(1);
  });

  test("says nothing twice", () => {
    const pair = established();
    pair.move(pair.a, A1, A2);
    pair.pass(3_000);
    const before = pair.flights.length;
    pair.move(pair.a, A1, A2);
    pair.pass(20_000);
    expect(pair.flights.length).toBe(before);
  });
});

describe("a path that silently eats packets", () => {
  function eaten(pair: Pair, address: string): void {
    pair.filter = ({ path }) => path.local.address !== address && path.remote.address !== address;
  }
  const down = (pair: Pair, node: Node): void => {
    const path = node.host.paths(pair.other(node).hit)[0]?.path as Path;
    pair.input(node, { type: "path-down", peer: pair.other(node).hit, path });
  };

  test("is left for another verified one at once, by both, and not taken again before it has proven itself", () => {
    const pair = established({}, [A1, A2]);
    const { a, b } = pair;
    eaten(pair, A1);
    down(pair, a);
    expect(sending(a, b)).toBe(`${A2}>${B1}`);
    pair.pass(1_000);
    expect(sending(b, a)).toBe(`${B1}>${A2}`);
    expect(handovers(a)).toEqual(["path-dead"]);
    // It works again: after its time both go back.
    pair.filter = () => true;
    const healed = pair.now;
    pair.run(() => sending(a, b) === `${A1}>${B1}`);
    expect(pair.now - healed).toBeGreaterThanOrEqual(5_000);
    pair.pass(2_000);
    expect(sending(b, a)).toBe(`${B1}>${A1}`);
    expect(unusable(pair)).toEqual([]);
  });

  test("without another one is asked until it answers", () => {
    const pair = established();
    const { a, b } = pair;
    pair.filter = () => false;
    down(pair, a);
    pair.pass(10_000);
    expect(a.state(b)).toBe("ESTABLISHED");
    pair.filter = () => true;
    pair.pass(3_000);
    expect(a.host.paths(b.hit)[0]?.verified).toBe(true);
    expect(unusable(pair)).toEqual([]);
  });
});

describe("a source that moves without a word (NAT rebinding)", () => {
  const rebound = (port: number): Path => ({
    carrier: "udp",
    local: { address: B1, port: 10500 },
    remote: { address: "203.0.113.9", port },
  });

  test("is asked first, and then followed", () => {
    const pair = established();
    const { a, b } = pair;
    pair.translate = (source) => (source.address === A1 ? { address: "203.0.113.9", port: 4242 } : source);
    const spi = b.sa("in")?.spi as Spi;
    a.addresses = [A1, "203.0.113.9"];
    pair.input(b, { type: "moved", spi, path: rebound(4242) });
    expect(b.paths).toEqual([]);
    pair.pass(1_000);
    expect(b.paths.map(({ path, verified }) => [path.remote.port, verified])).toEqual([[4242, true]]);
    expect(handovers(b)).toEqual(["source-moved"]);
  });

  test("that does not answer changes nothing", () => {
    const pair = established();
    const { b } = pair;
    pair.input(b, { type: "moved", spi: b.sa("in")?.spi as Spi, path: rebound(666) });
    pair.pass(60_000);
    expect(b.paths).toEqual([]);
    expect(b.state(pair.a)).toBe("ESTABLISHED");
  });
});

describe("keepalives (RFC 9028 4.10)", () => {
  test("are sent every 15 seconds by a host behind a NAT, which the peer tells it, and by nobody else", () => {
    const pair = new Pair();
    const { a, b } = pair;
    pair.translate = (source) => (source.address === A1 ? { ...source, port: 4242 } : source);
    pair.establish();
    pair.input(b, { type: "esp", spi: b.sa("in")?.spi as Spi, event: "first-inbound" });
    pair.pass(61_000);
    expect(pair.count("NOTIFY", a)).toBe(4);
    expect(pair.count("NOTIFY", b)).toBe(0);
    pair.pass(10_000);
    pair.input(a, { type: "sent", peers: [b.hit] });
    pair.pass(14_000);
    expect(pair.count("NOTIFY", a)).toBe(4);
    pair.pass(2_000);
    expect(pair.count("NOTIFY", a)).toBe(5);
    expect(b.events("notify-received")).toEqual([]);
  });

  test("are not sent where no NAT is", () => {
    const pair = established();
    pair.pass(120_000);
    expect(pair.count("NOTIFY")).toBe(0);
  });
});

describe("a peer's LOCATOR_SET", () => {
  /** Tells the peer about addresses that nothing is sent from. */
  function announce(pair: Pair, node: Node, addresses: readonly string[]): void {
    const own = addresses.map((address, at) => ({ ...ownLocator(address, at), local: at === 0 }));
    pair.input(node, { type: "locators", own });
  }

  test("without unicast addresses is not followed", () => {
    const pair = established();
    const { a, b } = pair;
    const bad = ["224.0.0.1", "255.255.255.255", "127.0.0.1", "ff02::1", "::1", "2001:22::1"];
    announce(pair, a, [A1, ...bad]);
    pair.pass(20_000);
    expect(b.host.peerLocators(a.hit).map(({ endpoint }) => endpoint.address)).toEqual([A1]);
    const asked = pair.flights.filter(({ from }) => from === b).map(({ path }) => path.remote.address);
    expect(new Set(asked)).toEqual(new Set([A1]));
  });

  test("of any length costs no more checks than MAX_CHECKS at once", () => {
    const pair = established();
    const { a, b } = pair;
    const many = Array.from({ length: 40 }, (_, i) => `203.0.113.${i + 1}`);
    pair.filter = ({ path }) => !path.remote.address.startsWith("203.");
    announce(pair, a, [A1, ...many]);
    pair.pass(300);
    const asked = pair.flights.filter(
      ({ from, path }) => from === b && path.remote.address.startsWith("203."),
    );
    expect(asked.length).toBeLessThanOrEqual(8);
    expect(b.host.peerLocators(a.hit).length).toBeLessThanOrEqual(16);
    pair.pass(120_000);
    expect(b.state(a)).toBe("ESTABLISHED");
  });
});

test("every change of paths is told, for whoever probes them", () => {
  const pair = established();
  const before = pair.b.outputs.length;
  pair.move(pair.a, A2);
  pair.pass(1_000);
  const told = (one: HostOutput): boolean => one.type === "paths" && one.peer === pair.a.hit;
  expect(pair.b.outputs.slice(before).filter(told).length).toBeGreaterThan(0);
});
