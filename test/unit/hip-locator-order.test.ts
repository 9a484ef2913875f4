/** LOCATOR_SETs that come late, that were never heard of, and what ESP_INFO says beside them (RFC 8046 5.2, 5.3). */
import { describe, expect, test } from "vitest";
import type { Carrier, Path, Spi } from "../../src/core/types.ts";
import type { OwnLocator } from "../../src/hip/locator.ts";
import { isOlder } from "../../src/hip/update-state.ts";
import { get, has, parse } from "../../src/wire/packet.ts";
import { SEQ } from "../../src/wire/rfc7401.ts";
import { ESP_INFO } from "../../src/wire/rfc7402.ts";
import { LOCATOR_SET, locatorParts } from "../../src/wire/rfc8046.ts";
import { type Node, ownLocator, Pair, type PairOptions } from "../support/pair.ts";
import { plainSet, type Sent, Story, typesOf } from "../support/plain-mobile.ts";
import { field, find, P, tlv } from "../support/plain-peer.ts";

const { u16, u32 } = field;
const OLD = "192.0.2.9";
const NEW = "203.0.113.77";
const OTHER = "203.0.113.78";
const NEW_SPI = 0x11223344;
const A1 = "192.0.2.1";
const A2 = "192.0.2.2";
const A3 = "192.0.2.3";
const B1 = "198.51.100.7";
const B2 = "198.51.100.8";

/** The peer's UPDATE with this ID; what is sent for it. */
function updated(story: Story, id: number, ...parameters: readonly Buffer[]): readonly Sent[] {
  return story.deliver(story.say(tlv(P.seq, u32(id)), ...parameters), OLD);
}

function established(options: PairOptions = {}, a: readonly string[] = [A1]): Pair {
  return new Pair({ carrier: "none", ...options }).settled(a, [B1]);
}

const known = (node: Node, peer: Node): readonly string[] =>
  node.host.peerLocators(peer.hit).map(({ endpoint }) => endpoint.address);

describe("a LOCATOR_SET in an UPDATE that comes after a newer one", () => {
  test("says nothing any more, and is acknowledged all the same", () => {
    const story = new Story("none");
    const { ownSpi } = story.session;
    const set = (...addresses: readonly string[]) =>
      plainSet(ownSpi, ...addresses.map((address) => ({ address })));
    updated(story, 0, story.info, set(OLD));
    updated(story, 2, story.info, set(OLD, NEW));
    const sent = updated(story, 1, story.info, set(OLD, OTHER));
    expect(sent.map((one) => find(one.parsed, P.ack).contents)).toEqual([u32(1)]);
    expect(Object.keys(story.locators).toSorted()).toEqual([OLD, NEW]);
    expect(story.bench.drops()).toEqual(["locator_set_old"]);
  });

  test("does not make the lifetimes of the newer one begin anew", () => {
    const story = new Story("none");
    const set = plainSet(story.session.ownSpi, { address: OLD, lifetime: 100 });
    updated(story, 1, story.info, set);
    story.pass(80_000);
    updated(story, 0, story.info, set);
    story.pass(30_000);
    expect(story.locators).toEqual({ [OLD]: "DEPRECATED" });
  });

  test("is judged in the circular space of Update IDs", () => {
    const last = 0xffff_ffff;
    expect([isOlder(last, 0), isOlder(last - 40, 3), isOlder(6, 7)]).toEqual([true, true, true]);
    expect([isOlder(0, last), isOlder(3, last - 40), isOlder(7, 6), isOlder(7, 7)]).toEqual(
      Array(4).fill(false),
    );
  });

  test("the same set in a later one is the newest", () => {
    const story = new Story("none");
    const { ownSpi } = story.session;
    const set = plainSet(ownSpi, { address: OLD });
    updated(story, 0, story.info, set);
    updated(story, 3, story.info, set);
    updated(story, 1, story.info, plainSet(ownSpi, { address: OLD }, { address: NEW }));
    expect(story.locators).toEqual({ [OLD]: "ACTIVE" });
  });
});

describe("what else an UPDATE says that comes after a newer one", () => {
  const listing = (story: Story, ...addresses: readonly string[]): Buffer =>
    plainSet(story.session.ownSpi, ...addresses.map((address) => ({ address })));
  const worn = ({ session }: Story): Buffer => tlv(P.espInfo, u16(0), u16(0), u32(session.ownSpi), u32(0));
  const away = (seconds: number): Buffer => tlv(40388, u32(seconds));

  test("an SA that is deprecated takes no address with it that a newer set lists (RFC 8046 5.3)", () => {
    const story = new Story("none");
    updated(story, 1, story.info, listing(story, OLD));
    const sent = updated(story, 0, worn(story));
    expect(sent.map((one) => find(one.parsed, P.ack).contents)).toEqual([u32(0)]);
    expect(story.locators).toEqual({ [OLD]: "ACTIVE" });
  });

  test("nor does an older set bring back what was deprecated so", () => {
    const story = new Story("none");
    updated(story, 1, worn(story));
    updated(story, 0, story.info, listing(story, OLD));
    expect(story.locators).toEqual({ [OLD]: "DEPRECATED" });
    expect(story.bench.drops()).toEqual(["locator_set_old"]);
    updated(story, 2, story.info, listing(story, OLD));
    expect(story.locators).toEqual({ [OLD]: "UNVERIFIED" });
  });

  test("a host that has said that it is back is not away again", () => {
    const story = new Story("none");
    const heard = () =>
      story.bench.outputs.flatMap((one) =>
        one.type === "event" && one.name === "peer-away" ? [one.detail["seconds"]] : [],
      );
    updated(story, 1, away(0));
    const sent = updated(story, 0, away(3_600));
    expect(sent.map((one) => find(one.parsed, P.ack).contents)).toEqual([u32(0)]);
    expect(heard()).toEqual([0]);
    updated(story, 2, away(60));
    expect(heard()).toEqual([0, 60]);
  });
});

describe("a set that is told while older UPDATEs wait for their answers", () => {
  const own = (...addresses: readonly string[]): readonly OwnLocator[] => addresses.map(ownLocator);

  /** Two paths to the peer, so that two UPDATEs carry the set when our address changes. */
  function twoPaths(carrier: Carrier): Pair {
    const pair = new Pair({ carrier }).settled([A1], [B1, B2]);
    pair.filter = ({ from }) => from === pair.b;
    return pair;
  }

  test.each(["none", "udp"] as const)("is what they carry when they are repeated, carrier %s", (carrier) => {
    const pair = twoPaths(carrier);
    const { a } = pair;
    const since = (from: number) =>
      pair.flights.slice(from).filter((one) => one.from === a && one.path.local.address === A2);
    let from = pair.flights.length;
    pair.move(a, A2);
    const [old] = since(from).map(({ bytes }) => bytes.length) as [number];
    expect(
      since(from)
        .map(({ path }) => path.remote.address)
        .toSorted(),
    ).toEqual([B1, B2]);
    from = pair.flights.length;
    pair.move(a, A2, A3);
    // Along the path in use at once.
    const [fresh] = since(from).map(({ bytes }) => bytes.length) as [number];
    expect(since(from)).toHaveLength(1);
    expect(fresh).toBeGreaterThan(old);
    pair.pass(1_500);
    const remotes = new Set(since(from).map(({ path }) => path.remote.address));
    expect([...remotes].toSorted()).toEqual([B1, B2]);
    expect(new Set(since(from).map(({ bytes }) => bytes.length))).toEqual(new Set([fresh]));
  });

  test("while it is signed what was begun before is not kept", () => {
    const pair = twoPaths("none");
    const { a } = pair;
    a.holdJobs = ["seal"];
    pair.input(a, { type: "locators", own: own(A2) });
    pair.input(a, { type: "locators", own: own(A2, A3) });
    a.holdJobs = false;
    const before = pair.flights.length;
    pair.releaseJobs(a);
    pair.pass(1_500);
    const sets = new Map<number, number>();
    for (const { from, bytes, path } of pair.flights.slice(before)) {
      const packet = parse(bytes);
      if (from !== a || path.local.address !== A2 || !packet.ok || !has(packet.value, LOCATOR_SET)) continue;
      sets.set(get(packet.value, SEQ)?.updateId ?? -1, get(packet.value, LOCATOR_SET)?.locators.length ?? 0);
    }
    // One was begun before and is signed anew, the other one gave way to a fresh one and is never sent.
    expect([...sets.values()]).toEqual([2, 2]);
    expect(a.drops("overtaken")).toBe(1);
  });

  test("goes at once along the path that we turn to, though a question runs there already", () => {
    const pair = established();
    const { a, b } = pair;
    pair.filter = ({ from }) => from === b;
    pair.move(a, A1, A2);
    pair.filter = () => true;
    const before = pair.flights.length;
    pair.move(a, A2);
    pair.pass(15);
    expect(pair.flights.slice(before).filter(({ from }) => from === a)).toHaveLength(1);
    expect(known(b, a)[0]).toBe(A2);
    expect(b.paths.at(-1)?.path.remote.address).toBe(A2);
    pair.pass(500);
    expect(a.events("handover")).toHaveLength(1);
    expect(b.events("handover")).toHaveLength(1);
  });
});

test("when the path in use is dead each question that runs takes the set along (RFC 8046 5.2)", () => {
  const pair = new Pair({ carrier: "none" }).settled([A1], [B1, B2]);
  const { a, b } = pair;
  pair.filter = () => false;
  pair.move(a, A1, A2);
  const before = pair.flights.length;
  const path: Path = { carrier: "none", local: { address: A1, port: 0 }, remote: { address: B1, port: 0 } };
  pair.input(a, { type: "path-down", peer: b.hit, path });
  pair.pass(1_000);
  const asked = pair.flights
    .slice(before)
    .filter(({ from, path }) => from === a && path.remote.address !== B1);
  expect(new Set(asked.map((one) => one.path.local.address))).toEqual(new Set([A1, A2]));
  expect(asked.filter(({ bytes }) => !holdsSet(bytes))).toEqual([]);
});

describe("a set that nobody acknowledged", () => {
  test("is told again when the check that carried it comes to nothing", () => {
    const pair = new Pair({ carrier: "none" }).settled([A1], [B1, B2]);
    const { a, b } = pair;
    pair.filter = ({ from, bytes }) => from === b || !holdsSet(bytes);
    pair.move(a, A1, A2);
    pair.pass(100);
    expect(a.paths.at(-1)?.path.remote.address ?? B1).toBe(B1);
    // The peer leaves the address where we ask: nobody will answer there, and it is told elsewhere.
    pair.filter = () => true;
    const told = (): number =>
      pair.flights.filter(
        ({ from, bytes, path }) => from === a && holdsSet(bytes) && path.remote.address === B2,
      ).length;
    expect(told()).toBe(0);
    pair.move(b, B2);
    pair.pass(25);
    expect([a.paths.at(-1)?.path.remote.address, told()]).toEqual([B2, 1]);
    // And not again and again.
    pair.pass(120_000);
    expect(told()).toBe(1);
  });

  test("is not told again when another UPDATE with it was acknowledged", () => {
    const pair = established();
    const { a } = pair;
    pair.filter = ({ path }) => path.local.address !== A2 && path.remote.address !== A2;
    pair.move(a, A1, A2);
    pair.pass(1_000);
    const before = pair.flights.filter(
      ({ from, bytes, path }) => from === a && path.local.address === A1 && holdsSet(bytes),
    ).length;
    expect(before).toBe(1);
    pair.pass(60_000);
    expect(
      pair.flights.filter(
        ({ from, bytes, path }) => from === a && path.local.address === A1 && holdsSet(bytes),
      ).length,
    ).toBe(1);
  });
});

function holdsSet(bytes: Uint8Array): boolean {
  const packet = parse(bytes);
  return packet.ok && has(packet.value, LOCATOR_SET);
}

describe("the SPIs of ESP_INFO (RFC 8046 5.3)", () => {
  const info = (oldSpi: number, newSpi: number): Buffer =>
    tlv(P.espInfo, u16(0), u16(0), u32(oldSpi), u32(newSpi));

  test.each([
    ["equal, and of no SA", NEW_SPI, NEW_SPI],
    ["both zero", 0, 0],
    ["of no SA, and zero", NEW_SPI, 0],
    ["of no SA, and another", NEW_SPI, NEW_SPI + 1],
    ["zero, and reserved", 0, 255],
  ])("are a protocol error when they are %s: the UPDATE is not processed", (_, oldSpi, newSpi) => {
    const story = new Story("none");
    const sent = story.update(OLD, info(oldSpi, newSpi), plainSet(story.session.ownSpi, { address: NEW }));
    expect(sent).toEqual([]);
    expect(story.bench.drops()).toEqual(["rekey_spi"]);
    expect(story.locators).toEqual({ [OLD]: "ACTIVE" });
  });

  test("ask for one more SA only with a new one", () => {
    const story = new Story("none");
    expect(story.update(OLD, info(0, story.session.ownSpi))).toEqual([]);
    expect(story.bench.drops()).toEqual(["rekey_spi"]);
  });

  test("deprecate the addresses of the only SA when the new one is zero: acknowledged, and asked anew when listed", () => {
    const story = new Story("none");
    const { ownSpi } = story.session;
    const set = plainSet(ownSpi, { address: OLD });
    story.update(OLD, story.info, set);
    const sent = story.update(OLD, info(ownSpi, 0));
    expect(sent.map(typesOf)).toEqual([[P.ack, P.mac, P.signature]]);
    expect(story.locators).toEqual({ [OLD]: "DEPRECATED" });
    expect(story.bench.state).toBe("ESTABLISHED");
    story.update(OLD, story.info, set);
    expect(story.locators).toEqual({ [OLD]: "UNVERIFIED" });
    const both = new Story("none");
    both.update(OLD, info(ownSpi, 0), set);
    expect(both.locators).toEqual({ [OLD]: "UNVERIFIED" });
  });

  test("of a former SA are known as long as the peer may not have changed its keys", () => {
    const story = new Story("none");
    const { ownSpi, keys } = story.session;
    const offer = tlv(P.espInfo, u16(0), u16(keys.end), u32(ownSpi), u32(NEW_SPI));
    const [half] = story.update(OLD, offer) as [Sent];
    story.deliver(story.say(tlv(P.ack, find(half.parsed, P.seq).contents)), OLD);
    story.pass(11_000);
    const acked = (sent: readonly Sent[]) => sent.map(typesOf).some((types) => types.includes(P.ack));
    expect(acked(story.update(OLD, info(ownSpi, ownSpi)))).toBe(true);
    expect(acked(story.update(OLD, info(NEW_SPI, NEW_SPI)))).toBe(true);
    // Only one of several: no address is bound to it alone.
    expect(acked(story.update(OLD, info(ownSpi, 0)))).toBe(true);
    expect(story.locators).toEqual({ [OLD]: "ACTIVE" });
  });

  test("in a question that is repeated after a change of keys are the new ones", () => {
    const pair = established({}, [A1, A2]);
    const { a } = pair;
    pair.filter = ({ path }) => path.local.address !== A3;
    pair.move(a, A1, A2, A3);
    pair.pass(100);
    const old = a.sa("in")?.spi;
    pair.input(a, { type: "esp", spi: a.sa("out")?.spi as Spi, event: "soft-expiry" });
    pair.run(() => a.sa("in")?.spi !== old && a.events("association-rekeyed").length > 0, 5_000);
    const before = pair.flights.length;
    pair.pass(10_000);
    const asked = pair.flights.slice(before).filter(({ path }) => path.local.address === A3);
    expect(asked.length).toBeGreaterThan(0);
    for (const { bytes } of asked) {
      const packet = parse(bytes);
      const spis = packet.ok ? get(packet.value, ESP_INFO) : undefined;
      expect([spis?.oldSpi, spis?.newSpi]).toEqual([a.sa("in")?.spi, a.sa("in")?.spi]);
    }
  });

  test("and locators that wait for their turn to be told are not told so", () => {
    const pair = established({}, [A1]);
    const { a, b } = pair;
    pair.filter = ({ from, bytes }) => from === b || !holdsSet(bytes);
    // The turns of this moment are used up by changes to and fro, and the next one comes after the change of keys.
    pair.latency = 1;
    for (let i = 0; i < 40; i++) pair.move(a, A1, ...(i % 2 === 0 ? [A2] : []));
    const told = a.events("locators-announced").at(-1)?.detail["locators"];
    pair.move(a, A1, A2, A3);
    expect(a.events("locators-announced").at(-1)?.detail["locators"]).toBe(told);
    const old = a.sa("in")?.spi;
    pair.input(a, { type: "esp", spi: a.sa("out")?.spi as Spi, event: "soft-expiry" });
    pair.run(() => a.events("association-rekeyed").length > 0, 500);
    const fresh = a.sa("in")?.spi;
    expect(fresh).not.toBe(old);
    const before = pair.flights.length;
    pair.pass(1_500);
    const sets = pair.flights.slice(before).flatMap(({ from, bytes }) => {
      const packet = parse(bytes);
      const set = from === a && packet.ok ? get(packet.value, LOCATOR_SET) : undefined;
      return set === undefined ? [] : [set.locators.map(locatorParts)];
    });
    expect(sets.length).toBeGreaterThan(0);
    for (const set of sets) {
      expect(set.length).toBe(String(told).split(" ").length);
      expect(set.map((one) => one?.spi)).toEqual(set.map(() => fresh));
    }
    pair.filter = () => true;
    pair.pass(10_000);
    expect(known(b, a)).toContain(A3);
  });
});
