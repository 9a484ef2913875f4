/** Machines move while they talk: what is lost, and for how long nothing comes (RFC 8046 3.2). */
import { describe, expect, test } from "vitest";
import type { Daemon } from "../sim/daemon.ts";
import type { World } from "../sim/world.ts";
import { Story } from "../support/story.ts";
import { Stream, type StreamReport } from "../support/stream.ts";

const A = ["10.0.1.1", "10.0.1.2"] as const;
const A6 = "2001:db8:1::1";
const B = ["10.0.2.1", "10.0.2.2"] as const;
const B6 = "2001:db8:2::1";
/** Milliseconds there and back. */
const RTT = 40;
/** What a change may cost besides: the kernel's word, keys and signatures. */
const EXTRA = 20;

/** Alice and Bob, talking; every way between them takes half of RTT. */
function talking(a: readonly string[], b: readonly string[]): Story {
  const story = new Story({ mobile: true, addresses: [a, b] });
  for (const from of [...A, A6]) {
    for (const to of [...B, B6]) {
      story.world.network.link(from, to, { latency: RTT / 2 });
      story.world.network.link(to, from, { latency: RTT / 2 });
    }
  }
  story.begin().talk(story.alice, story.bob);
  story.run(3000);
  return story;
}

/** A stream in each direction while something happens. */
function during(story: Story, what: (world: World) => void, millis = 3000): readonly StreamReport[] {
  const { world, alice, bob } = story;
  const streams = [new Stream(world, alice, bob), new Stream(world, bob, alice)];
  world.run(300);
  what(world);
  world.run(millis);
  const reports = streams.map((stream) => stream.end());
  for (const { sent } of reports) expect(sent).toBeGreaterThan(1000);
  story.sound();
  return reports;
}

function gaps(reports: readonly StreamReport[]): number {
  return Math.max(...reports.map(({ gap }) => gap));
}

function handovers(daemon: Daemon): readonly unknown[] {
  return daemon.events.filter(({ name }) => name === "handover").map(({ detail }) => detail["reason"]);
}

describe("break before make", () => {
  test.each([
    ["an address takes the place of another", [A[0]], [B[0]], [A[1]]],
    ["from IPv4 to IPv6", [A[0]], [B[0], B6], [A6]],
    ["from IPv6 to IPv4", [A6], [B6, B[0]], [A[0]]],
  ] as const)("%s: silence lasts a round trip", (_, a, b, after) => {
    const story = talking(a, b);
    const reports = during(story, () => story.alice.move(after));
    expect(gaps(reports)).toBeLessThanOrEqual(RTT + EXTRA);
  });

  test("and back again, five times in a second", () => {
    const story = talking([A[0]], [B[0]]);
    const reports = during(story, ({ queue }) => {
      for (let i = 0; i < 5; i++) queue.after(200 * i, () => story.alice.move([A[(i + 1) % 2] as string]));
    });
    // The longest of ten gaps: 50 to 67 ms with other seeds.
    expect(gaps(reports)).toBeLessThanOrEqual(RTT + 2 * EXTRA);
  });

  test("both at once, while one of two addresses stays", () => {
    const story = talking([A[0]], [...B]);
    const reports = during(story, () => {
      story.alice.move([A[1]]);
      story.bob.move([B[1]]);
    });
    expect(gaps(reports)).toBeLessThanOrEqual(2 * RTT + 2 * EXTRA);
  });
});

describe("make before break", () => {
  test("loses nothing", () => {
    const story = talking([A[0]], [B[0]]);
    const reports = during(story, ({ queue }) => {
      story.alice.move([...A]);
      queue.after(500, () => story.alice.request({ type: "locator-prefer", address: A[1] }, 100));
      queue.after(1500, () => story.alice.move([A[1]]));
    });
    expect(reports.map(({ lost }) => lost)).toEqual([0, 0]);
    expect(handovers(story.alice).length).toBeGreaterThan(0);
  });

  test("loses nothing by hand either", () => {
    const story = talking([...A], [B[0]]);
    const { bob } = story;
    const reports = during(story, ({ queue }) => {
      const request = {
        type: "handover",
        peer: bob.name,
        from: A[1],
        to: undefined,
        timeoutMillis: 500,
      } as const;
      story.alice.request(request, 500);
      queue.after(1500, () => story.alice.move([A[1]]));
    });
    expect(reports.map(({ lost }) => lost)).toEqual([0, 0]);
  });
});

test.each([
  ["a moment", 1_500],
  ["long enough to be known as silent", 25_000],
])("a NAT that is back at a former mapping after %s costs no more than a new one", async (_, millis) => {
  const { Nat } = await import("../sim/nat.ts");
  const kind = { mapping: "endpoint", filtering: "address-and-port", expiry: 600_000 } as const;
  const nats = ["203.0.113.7", "203.0.113.9"].map((address) => new Nat(address, kind));
  const story = new Story({ mobile: true, addresses: [[A[0]], [B[0]]] });
  const { alice, bob, world } = story;
  const through = (nat: number): void => world.network.attachNat(A[0], nats[nat] as (typeof nats)[number]);
  through(0);
  bob.filePeers = bob.filePeers.map((peer) => ({ ...peer, locators: [] }));
  story.begin().reaches(alice, bob, 5000);
  story.run(3000);
  const streams = [new Stream(world, alice, bob, 20), new Stream(world, bob, alice, 20)];
  world.run(1000);
  for (const nat of [1, 0, 1]) {
    // What was sent to the mapping that is gone is lost.
    world.network.loses = ({ destination }) => destination.address === nats[1 - nat]?.address;
    through(nat);
    world.run(millis);
    const [path] = bob.overlay?.host.paths?.(alice.hit) ?? [];
    expect(path?.path.remote.address).toBe(nats[nat]?.address);
  }
  const reports = streams.map((stream) => stream.end());
  expect(gaps(reports)).toBeLessThan(1000);
  story.sound();
});

test("a path that silently eats everything is left within 1.2 seconds", () => {
  const story = talking([...A], [B[0]]);
  const reports = during(story, ({ network }) => {
    const [path] = story.alice.overlay?.host.paths?.(story.bob.hit) ?? [];
    const dead = path?.path.local.address ?? A[0];
    network.link(dead, B[0], { eatsAbove: 0 });
    network.link(B[0], dead, { eatsAbove: 0 });
  });
  expect(gaps(reports)).toBeLessThanOrEqual(1200);
});

describe("a host none of whose addresses can reach the peer", () => {
  const talking = (): Story => {
    const story = new Story({ mobile: true, addresses: [["10.0.1.1"], ["10.0.2.1"]] }).begin();
    story.talk(story.alice, story.bob, 5000);
    return story;
  };

  test("gives the association up after a while, so that the next packet looks for the peer anew", () => {
    const story = talking();
    const { alice, bob } = story;
    alice.move(["2001:db8:1::1"]);
    story.run(20_000);
    expect(story.state(alice, bob)).toBe("ESTABLISHED");
    story.run(20_000);
    expect(story.events(alice, "association-closed")).toBe(1);
    alice.move(["10.0.1.2"]);
    story.run(1000);
    story.talk(alice, bob, 5000);
    story.sound();
  });

  test("keeps it while it has no address at all", () => {
    const story = talking();
    const { alice, bob } = story;
    alice.move([]);
    story.run(100_000);
    alice.move(["10.0.1.2"]);
    expect(story.reaches(alice, bob)).toBeLessThan(2000);
    expect(story.events(alice, "association-closed")).toBe(0);
    story.sound();
  });
});

test("both move at once before a call is answered: what was known of the caller before is not forgotten for it", () => {
  const story = talking([A[0], A6], [B[0], B6]);
  const { alice, bob, world } = story;
  alice.crash();
  alice.move([A[1]]);
  alice.boot();
  story.lose(1, "R2");
  world.say(alice, bob);
  world.run(2000, () => story.state(bob, alice) === "R2-SENT");
  expect(story.state(bob, alice)).toBe("R2-SENT");
  alice.move([A6]);
  bob.move(["2001:db8:2::2"]);
  for (let i = 0; i < 60 && story.state(alice, bob) !== "ESTABLISHED"; i++) {
    world.say(bob, alice);
    story.run(1000);
  }
  story.talk(alice, bob, 1000);
  story.sound();
});
