/** Tests of the simulator's moving parts: what it promises about addresses, links, sleep and credit, and that it notices breaches. */
import { describe, expect, it } from "vitest";
import { type Path, type Spi, samePath } from "../../src/core/types.ts";
import { Story } from "../support/story.ts";
import { canCall } from "./mobile.ts";
import { PeerLedger } from "./peer-ledger.ts";
import { beQuiet } from "./quiet.ts";
import { runSeed } from "./run.ts";

const A = ["10.0.1.1", "10.0.1.2"] as const;
const B = "10.0.2.1";
const NOWHERE = { address: "198.51.100.9", port: 10500 };

function talking(a: readonly string[] = [A[0]]): Story {
  const story = new Story({ mobile: true, addresses: [a, [B]] }).begin();
  story.talk(story.alice, story.bob, 5000);
  story.run(2000);
  return story;
}

const saying = (text: string): unknown => expect.arrayContaining([expect.stringContaining(text)]);

function outboundOf(story: Story): { readonly spi: Spi; readonly path: Path } {
  const { alice, bob } = story;
  const sa = alice.plane?.outboundSas[0];
  const [path] = alice.overlay?.host.paths?.(bob.hit) ?? [];
  if (sa === undefined || path === undefined) throw new Error("no association");
  return { spi: sa.spi, path: path.path };
}

describe("it is noticed when", () => {
  it("data go freely to where nobody has answered", () => {
    const story = talking();
    const { alice, bob, world } = story;
    const { spi, path } = outboundOf(story);
    alice.plane?.setPath(bob.hit, spi, { ...path, remote: NOWHERE }, true);
    for (let i = 0; i < 100; i++) world.say(alice, bob);
    expect(world.invariants.breaches).toEqual(saying(`more than credit went to ${NOWHERE.address}`));
  });

  it("data go there on credit: then nothing, and the rest is dropped", () => {
    const story = talking();
    const { alice, bob, world } = story;
    const { spi, path } = outboundOf(story);
    alice.plane?.setPath(bob.hit, spi, { ...path, remote: NOWHERE }, false);
    for (let i = 0; i < 100; i++) world.say(alice, bob);
    expect(world.invariants.breaches).toEqual([]);
    expect(world.invariants.credit.total).toBeGreaterThan(0);
    expect(alice.plane?.counters()["drop_credit_total"]).toBeGreaterThan(10);
  });

  it("an address is asked more often than what came from there allows", () => {
    const story = talking([...A]);
    const { bob, world } = story;
    const update = world.captured.find(({ payload }) => payload.kind === "hip" && payload.bytes[2] === 16);
    const esp = world.captured.find(({ payload }) => payload.kind === "esp");
    if (update === undefined || esp === undefined) throw new Error("nothing was captured");
    world.network.send("mallory", { ...esp, source: NOWHERE });
    world.run(500);
    for (let i = 0; i < 20; i++) world.network.send(bob.name, { ...update, destination: NOWHERE });
    expect(world.invariants.breaches).toEqual(saying(`${NOWHERE.address} was asked too often`));
  });

  it.each([["handovers", "event handover", "2 handovers while nothing happened"]] as const)(
    "%s happen although nothing does",
    (_, count, text) => {
      const story = talking();
      for (const at of [50_000, 60_000]) story.world.queue.after(at, () => story.world.trace.count(count));
      beQuiet(story.world);
      expect(story.world.invariants.breaches).toEqual(saying(text));
    },
  );

  it("packets are sent although nothing happens", () => {
    const story = talking();
    const { world, bob } = story;
    const update = world.captured.find(({ payload }) => payload.kind === "hip");
    if (update === undefined) throw new Error("nothing was captured");
    for (let i = 0; i < 1000; i++)
      world.queue.after(50_000 + 15 * i, () =>
        world.network.send(bob.name, { ...update, destination: NOWHERE }),
      );
    beQuiet(world);
    expect(world.invariants.breaches).toEqual(saying("HIP packets in 20 s while nothing happened"));
  });

  it("nothing is wrong: then nothing", () => {
    const story = talking([...A]);
    beQuiet(story.world);
    story.sound();
  });
});

describe("a machine that moves", () => {
  it("is no longer where it was, and its daemon hears of it", () => {
    const story = talking();
    const { alice, world } = story;
    alice.move([A[1]]);
    expect(alice.plane?.source(B)).toBe(A[1]);
    story.run(100);
    expect(alice.overlay?.addresses).toEqual([A[1]]);
    const before = world.trace.records.length;
    world.network.send("mallory", {
      carrier: "udp",
      source: { address: B, port: 10500 },
      destination: { address: A[0], port: 10500 },
      payload: { kind: "hip", bytes: new Uint8Array(40) },
    });
    story.run(1000);
    expect(world.trace.records.slice(before).map(({ note }) => note)).toContain("no_host");
  });

  it("is called where it is known to be, and nowhere else", () => {
    const story = talking();
    const { alice, bob } = story;
    expect([canCall(alice, bob), canCall(bob, alice)]).toEqual([true, true]);
    alice.crash();
    alice.move([A[1]]);
    expect([canCall(alice, bob), canCall(bob, alice)]).toEqual([true, false]);
    alice.move(["2001:db8:1::1"]);
    expect(canCall(alice, bob)).toBe(false);
  });
});

describe("a machine that sleeps", () => {
  it("does nothing, and goes on when it wakes", () => {
    const story = talking();
    const { alice, bob, world } = story;
    alice.sleep();
    const sent = (): number =>
      world.trace.records.filter(({ from, note }) => from === "alice" && note === "sent").length;
    const before = sent();
    world.say(bob, alice);
    world.say(alice, bob);
    story.run(20_000);
    expect(sent()).toBe(before);
    expect((world.heard(bob, alice) ?? 0) < world.queue.now - 20_000).toBe(true);
    alice.wake();
    story.talk(alice, bob, 10_000);
    story.sound();
  });
});

describe("a link", () => {
  it("eats what is too large without a word, in one direction", () => {
    const story = talking();
    const { alice, bob, world } = story;
    world.network.link(A[0], B, { eatsAbove: 1000 });
    const since = world.queue.now;
    world.say(alice, bob, "hit", 1100);
    world.run(500);
    expect(world.heard(alice, bob)).toBeLessThanOrEqual(since);
    world.say(bob, alice, "hit", 1100);
    world.say(alice, bob, "hit", 100);
    world.run(500);
    expect(world.heard(alice, bob)).toBeGreaterThan(since);
    expect(world.heard(bob, alice)).toBeGreaterThan(since);
  });

  it.each([true, false])("that is narrow tells the sender, or not: %s", (icmp) => {
    const story = talking();
    const { alice, bob, world } = story;
    const { path } = outboundOf(story);
    world.network.link(A[0], B, { mtu: 1280, icmp });
    world.say(alice, bob, "hit", 1300);
    world.run(300);
    world.say(alice, bob, "hit", 1300);
    expect(alice.plane?.counters()["drop_too_big_total"] ?? 0).toBe(icmp ? 1 : 0);
    expect(samePath(outboundOf(story).path, path)).toBe(true);
  });
});

describe("a peer's ledger", () => {
  it("lets credit age (RFC 8046 5.6.2)", () => {
    const ledger = new PeerLedger(0);
    ledger.earned(1000, 0);
    expect(ledger.spend(900, 4_999)).toBe(true);
    expect(ledger.spend(101, 4_999)).toBe(false);
    expect(ledger.spend(88, 5_000)).toBe(false);
    expect(ledger.spend(87, 5_000)).toBe(true);
  });

  it("tells of silence again and again while packets go out", () => {
    const ledger = new PeerLedger(0);
    expect(ledger.awaits(0)).toBe(true);
    ledger.listening = true;
    expect(ledger.silence(400, 500)).toMatchObject({ raise: false, again: 100 });
    expect(ledger.silence(500, 500)).toMatchObject({ raise: true, millis: 500 });
    ledger.awaits(700);
    expect(ledger.silence(1000, 500)).toMatchObject({ raise: true, millis: 1000 });
    expect(ledger.silence(1500, 500)).toBeUndefined();
    ledger.awaits(1600);
    ledger.heard();
    expect(ledger.silence(2100, 500)).toBeUndefined();
  });
});

it("worlds with and without moves both come from seeds, and can be asked for", () => {
  const moved = (seed: number, mobile?: boolean): boolean =>
    [...runSeed(seed, mobile === undefined ? {} : { mobile }).counts.keys()].some((what) =>
      /^action (move|hop|gone|eat)$/.test(what),
    );
  expect(moved(7, false)).toBe(false);
  expect([7, 8, 9].some((seed) => moved(seed, true))).toBe(true);
});
