/** How long is waited for a peer that is silent, and where is looked for it meanwhile (RFC 8046 5.4, RFC 7401 6.11). */
import { describe, expect, test } from "vitest";
import type { Endpoint, Instant, Path } from "../../src/core/types.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { type Check, guess, type Mobility, mobilityAfterExchange } from "../../src/hip/mobility-state.ts";
import { isOver } from "../../src/hip/questions.ts";
import type { Session } from "../../src/hip/states.ts";
import { type Node, Pair } from "../support/pair.ts";
import { plainSet, type Sent, Story, typesOf } from "../support/plain-mobile.ts";
import { field, find, P, tlv } from "../support/plain-peer.ts";

const { u16, u32 } = field;
const { search } = DEFAULT_CONFIG.mobility;
const OLD = "192.0.2.9";
const NEW = "203.0.113.77";
const A1 = "192.0.2.1";
const A2 = "192.0.2.2";
const A3 = "192.0.2.3";
const A6 = "2001:db8:1::1";
const B1 = "198.51.100.7";
const B2 = "198.51.100.8";

function established(a: readonly string[] = [A1], b: readonly string[] = [B1]): Pair {
  return new Pair().settled(a, b);
}

function inUse(node: Node, peer: Node): Path {
  return node.host.paths(peer.hit)[0]?.path as Path;
}

describe("a question that traffic waits for", () => {
  const now = 100_000 as Instant;
  const at = (address: string): Endpoint => ({ address, port: 10500 });
  const path = (address: string): Path => ({ carrier: "udp", local: at(B1), remote: at(address) });
  const cx = { config: DEFAULT_CONFIG, now };
  const tries = DEFAULT_CONFIG.retries.update;

  /** The peer's packets come from `NEW`, which it has never announced; data go to `used`. */
  function over(used: string, asked: string, startedAt: number, more: Partial<Mobility> = {}): boolean {
    const mobility = { ...mobilityAfterExchange(path(OLD), now), locators: [guess(at(NEW), now)], ...more };
    const session = { path: path(used), mobility } as Session;
    const check: Check = {
      path: path(asked),
      updateId: 0,
      nonce: new Uint8Array(16),
      startedAt: startedAt as Instant,
      use: "peer-moved",
      told: false,
    };
    return isOver(session, check, tries, cx);
  }

  test("along the path in use is asked for long, also where only packets say that the peer is there", () => {
    expect(over(NEW, NEW, now - search + 1)).toBe(false);
    expect(over(NEW, NEW, now - search)).toBe(true);
  });

  test("is not asked for long where only a packet says that the peer is, and data go elsewhere", () => {
    expect(over(OLD, NEW, now - 1)).toBe(true);
  });

  test("has no end while the peer has said that it is away", () => {
    const awayUntil = (now + 1) as Instant;
    expect(over(NEW, NEW, 0, { awayUntil })).toBe(false);
    expect(over(OLD, NEW, 0, { awayUntil })).toBe(false);
    expect(over(NEW, NEW, 0, { awayUntil: now })).toBe(true);
  });
});

describe("a host that has looked for its peer for long", () => {
  test("goes on where it has another pair that it has not tried yet", () => {
    const pair = established();
    const { a, b } = pair;
    pair.filter = () => false;
    const start = pair.now;
    pair.move(a, A2);
    pair.pass(search - 1_000);
    pair.move(a, A2, A3);
    // The new way needs a moment longer than the time that the old one has.
    pair.pass(2_500);
    expect(pair.now - start).toBeGreaterThan(search);
    expect(a.state(b)).toBe("ESTABLISHED");
    pair.filter = ({ path }) => path.local.address === A3 || path.remote.address === A3;
    pair.pass(5_000);
    expect(a.state(b)).toBe("ESTABLISHED");
    expect(inUse(a, b).local.address).toBe(A3);
  });

  test("closes although its only address, of a family that the peer has not, came late", () => {
    const pair = established();
    const { a, b } = pair;
    pair.move(a);
    pair.pass(search + 10_000);
    expect(a.state(b)).toBe("ESTABLISHED");
    pair.move(a, A6);
    pair.pass(1_000);
    expect(a.state(b)).not.toBe("ESTABLISHED");
    expect(a.events("association-closed").at(-1)?.detail["reason"]).toBe("unreachable");
  });
});

describe("news that are asked about just before a question is given up", () => {
  /** What happens when the news of an address of a family that the peer has not come `before` the end. */
  function told(begin: (pair: Pair) => void, after: readonly string[], event: string, before: number): Pair {
    const silent = established();
    silent.filter = () => false;
    begin(silent);
    silent.run(() => silent.a.events(event).length > 0);
    const end = silent.now;
    const pair = established();
    pair.filter = () => false;
    begin(pair);
    pair.pass(end - before - pair.now);
    expect(pair.a.events(event)).toEqual([]);
    pair.filter = () => true;
    pair.move(pair.a, ...after);
    pair.pass(5_000);
    return pair;
  }

  test("are waited for as long as an answer may take, where nobody was in a hurry", () => {
    const { a, b } = told(
      (pair) => pair.move(pair.a, A1, A6),
      [A1, A6, "2001:db8:1::2"],
      "locator-unreachable",
      10,
    );
    expect(a.state(b)).toBe("ESTABLISHED");
    expect(a.events("locator-unreachable")).toEqual([]);
    expect(b.host.peerLocators(a.hit).map(({ endpoint }) => endpoint.address)).toContain("2001:db8:1::2");
  });

  test("are waited for where traffic waits, too", () => {
    const { a, b } = told((pair) => pair.move(pair.a, A2), [A2, A6], "handover-failed", 10);
    expect(a.state(b)).toBe("ESTABLISHED");
    expect(a.events("handover-failed")).toEqual([]);
    expect(inUse(b, a).remote.address).toBe(A2);
  });

  test.each([
    ["stays where it is", A1, 15_500 * 1.25 + 8_000 + search + 5_000],
    ["has moved", A2, search + 5_000],
  ])("do not keep a host that %s asking for ever", (_, at, most) => {
    const pair = established();
    const { a, b } = pair;
    pair.filter = () => false;
    const start = pair.now;
    for (let n = 0; a.state(b) === "ESTABLISHED" && pair.now < start + 2 * most; n++) {
      pair.move(a, at, `2001:db8:1::${1 + (n % 2)}`);
      pair.pass(100);
    }
    expect(a.state(b)).not.toBe("ESTABLISHED");
    expect(pair.now - start).toBeLessThan(most);
  });
});

test("on the way to a path that turns out to be dead, one that works is turned to", () => {
  const pair = established([A1, A2], [B1, B2]);
  const { a, b } = pair;
  const works = b.host.paths(a.hit).filter(({ verified }) => verified);
  expect(works).toHaveLength(4);
  expect(inUse(b, a).local.address).toBe(B1);
  // What b sends from its first address to the one that is left, a never gets; from its other one it does.
  const lost = ({ local, remote }: Path): boolean =>
    (local.address === B1 && remote.address === A2) || remote.address === A3 || local.address === A3;
  pair.filter = ({ path }) => !lost(path);
  pair.move(a, A2);
  pair.pass(1_000);
  expect(inUse(b, a)).toMatchObject({ local: { address: B1 }, remote: { address: A2 } });
  // Another address keeps b waiting when the path that it turned to is given up.
  pair.pass(search - 10_000);
  pair.move(a, A2, A3);
  pair.pass(12_000);
  // It is, and a probe comes back along another one.
  expect(b.events("locator-unreachable").length).toBeGreaterThan(0);
  const other = works
    .map(({ path }) => path)
    .find(({ local, remote }) => local.address === B2 && remote.address === A2);
  pair.input(b, { type: "path-rtt", peer: a.hit, path: other as Path, millis: 40 });
  expect(inUse(b, a)).toMatchObject({ local: { address: B2 }, remote: { address: A2 } });
});

describe("an answer that comes late", () => {
  test("does not bring an address back that the peer has taken back meanwhile", () => {
    const story = new Story("none");
    const { ownSpi } = story.session;
    const sent = story.update(OLD, story.info, plainSet(ownSpi, { address: OLD }, { address: NEW }));
    const question = sent.find(({ path }) => path.remote.address === NEW) as Sent;
    story.update(OLD, story.info, plainSet(ownSpi, { address: OLD }));
    expect(story.locators).toEqual({ [OLD]: "ACTIVE" });
    story.echo(question, OLD);
    expect(story.locators).toEqual({ [OLD]: "ACTIVE" });
  });
});

test("an offer of keys that comes again is acknowledged again once the keys are drawn (RFC 7401 6.12.1 step 2)", () => {
  const story = new Story("none");
  const { ownSpi, keys } = story.session;
  // Both offer at once, so that ours is not the answer.
  const spi = story.bench.sa("out").spi;
  story.bench.input({ type: "esp", spi, event: "soft-expiry" });
  const offer = tlv(P.espInfo, u16(0), u16(keys.end), u32(ownSpi), u32(0x11223344));
  const acked = (sent: readonly Sent[]): readonly Buffer[] =>
    sent.filter((one) => typesOf(one).includes(P.ack)).map((one) => find(one.parsed, P.ack).contents);
  expect(acked(story.update(OLD, offer))).toEqual([u32(0)]);
  story.update(OLD, story.info);
  story.pass(200);
  story.bench.now = (story.bench.now + 2_000) as Instant;
  const again = story.deliver(story.say(tlv(P.seq, u32(0)), offer), OLD);
  expect(acked(again)).toEqual([u32(0)]);
});
