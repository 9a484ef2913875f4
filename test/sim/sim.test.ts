/** Tests of the simulator itself: it is the same for the same seed, and each of its invariants can fail. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Spi } from "../../src/core/types.ts";
import { Story } from "../support/story.ts";
import { EventQueue } from "./clock.ts";
import { Nat } from "./nat.ts";
import type { Message } from "./plane.ts";
import { SeededRandom } from "./random.ts";
import { calm, runSeed } from "./run.ts";

const KEPT = readFileSync(new URL("./seeds.txt", import.meta.url), "utf8")
  .split("\n")
  .map((line) => line.replace(/#.*/, "").trim())
  .filter((line) => line !== "")
  .map(Number);

describe("seeds", () => {
  it.each([...KEPT, ...Array.from({ length: 20 }, (_, i) => i + 1)])("%i holds", (seed) => {
    expect(runSeed(seed).breaches).toEqual([]);
  });

  it("give the same trace twice, whatever the keys' random bytes are", () => {
    for (const seed of [3, 5, 8, 51]) {
      const [first, second] = [runSeed(seed), runSeed(seed)];
      expect(second.hash).toBe(first.hash);
      expect(second.steps).toBe(first.steps);
      expect(second.picture()).toBe(first.picture());
    }
  });

  it("give different traces when they differ", () => {
    const hashes = [1, 2, 3, 4, 5].map((seed) => runSeed(seed).hash);
    expect(new Set(hashes).size).toBe(5);
  });

  it("that fail come with a picture", () => {
    const outcome = runSeed(1, {
      faults: { loss: 1, burst: 0, burstLength: 1, duplicate: 0, reorder: 0, jitter: 0 },
    });
    expect(outcome.breaches).toEqual([]);
    expect(outcome.picture()).toMatch(/alice +bob/);
    expect(outcome.picture(10_000)).toMatch(/I1 \(lost\)/);
  });
});

/** Two hosts that have talked; the test then breaks something and says what must be noticed. */
function broken(breakIt: (story: Story) => void, talk = true): readonly string[] {
  const story = new Story().begin();
  if (talk) story.talk(story.alice, story.bob, 5000);
  breakIt(story);
  for (const daemon of story.world.daemons) {
    if (daemon.running) story.world.invariants.examine(daemon);
  }
  return story.world.invariants.breaches;
}

const saying = (text: string): unknown => expect.arrayContaining([expect.stringContaining(text)]);

function message(changes: Partial<Message> = {}): Message {
  return { id: 77_777, kind: "data", family: "hit", size: 10, sequence: 0, sentAt: 0, ...changes };
}

/** Puts something between the overlay of Alice and her protocol. */
function tamper(
  story: Story,
  change: (outputs: readonly unknown[], type: string) => readonly unknown[],
): void {
  const host = story.alice.overlay?.host as unknown as {
    handle: (input: { type: string }, now: number) => readonly unknown[];
  };
  const { handle } = host;
  host.handle = (input, now) => change(handle.call(host, input, now), input.type);
}

describe("it is noticed when", () => {
  it("nothing is wrong: then nothing", () => {
    expect(broken(() => undefined)).toEqual([]);
  });

  it("a sequence number is used twice with one key", () => {
    const breaches = broken(({ alice, bob, world }) => {
      const sa = alice.plane?.outboundSas[0];
      if (sa !== undefined) alice.plane?.addSa(sa);
      world.say(alice, bob);
    });
    expect(breaches).toEqual(saying("used twice with one key"));
  });

  it("a message arrives twice", () => {
    const breaches = broken(({ bob, world }) => {
      const packet = world.captured.find(
        ({ payload, destination }) => payload.kind === "esp" && destination.address === "10.0.2.1",
      );
      for (const sa of bob.plane?.inboundSas ?? []) bob.plane?.addSa(sa);
      if (packet !== undefined) world.network.send("mallory", packet);
      world.run(1000);
    });
    expect(breaches).toEqual(saying("arrived twice"));
  });

  it("an SA is made for a peer that is not configured", () => {
    const breaches = broken(({ alice, bob, world }) => {
      alice.knows = () => false;
      world.say(alice, bob);
      world.run(2000);
    }, false);
    expect(breaches).toEqual(saying("SA in for bob, which is not configured"));
    expect(breaches).toEqual(saying("data for bob, which is not configured"));
  });

  it("an SA stays behind when its peer is removed", () => {
    expect(
      broken(({ alice, world }) => {
        if (alice.plane !== undefined) alice.plane.dropSa = () => undefined;
        alice.removePeer("bob", false);
        world.run(100);
      }),
    ).toEqual(saying("an SA is left for bob"));
  });

  it("data go out under a key that the peer has not derived", () => {
    expect(
      broken(({ alice, bob, world }) => {
        world.invariants.derived = () => undefined;
        world.say(alice, bob);
        world.run(2000);
      }, false),
    ).toEqual(saying("under a key that it has not derived"));
  });

  it("a message goes to the wrong peer", () => {
    const breaches = broken(({ alice, bob, world }) => {
      world.invariants.applicationSent({ from: "alice", to: "carol", message: message() });
      alice.send(bob.hit, message());
      world.run(1000);
    });
    expect(breaches).toEqual(saying("data for carol sealed for bob"));
    expect(breaches).toEqual(saying("got a message for carol"));
  });

  it("a message that nobody sent arrives, or in the wrong family", () => {
    const breaches = broken(({ alice, bob, world }) => {
      alice.send(bob.hit, message({ id: 88_888 }));
      world.invariants.applicationSent({ from: "alice", to: "bob", message: message({ family: "lsi" }) });
      alice.send(bob.hit, message());
      world.run(1000);
    });
    expect(breaches).toEqual(saying("a message that nobody sent"));
    expect(breaches).toEqual(saying("lsi message 77777 arrived as hit"));
  });

  it("something leaves that no SA has sealed", () => {
    const breaches = broken(({ world }) => {
      const esp = { spi: 1 as Spi, sequence: 1, key: "none", message: message(), size: 10 };
      const [source, destination] = ["10.0.1.1", "10.0.2.1"].map((address) => ({ address, port: 10500 }));
      if (source === undefined || destination === undefined) return;
      world.network.send("alice", { carrier: "udp", source, destination, payload: { kind: "esp", esp } });
    });
    expect(breaches).toEqual(saying("no SA has sealed"));
  });

  it("a route leads to an SA that is not there", () => {
    const breaches = broken(({ alice, bob, world }) => {
      alice.plane?.route(bob.hit, 12_345 as Spi);
      world.say(alice, bob);
    });
    expect(breaches).toEqual(saying("an SA that is not there"));
  });

  it("a stranger gets more than it sent", () => {
    const breaches = broken(({ world }) => {
      const stranger = { address: "198.51.100.7", port: 10500 };
      const r1 = world.captured.find(({ payload }) => payload.kind === "hip" && payload.bytes[2] === 2);
      const i1 = world.captured.find(({ payload }) => payload.kind === "hip" && payload.bytes[2] === 1);
      const r2 = world.captured.find(({ payload }) => payload.kind === "hip" && payload.bytes[2] === 4);
      if (r1 === undefined || i1 === undefined || r2 === undefined) return;
      world.network.send("mallory", { ...i1, source: stranger });
      world.run(100);
      expect(world.invariants.breaches).toEqual([]);
      world.network.send("bob", { ...r1, destination: stranger });
      world.network.send("bob", { ...r2, destination: stranger });
    });
    expect(breaches).toEqual(saying("more R1s than I1s"));
    expect(breaches).toEqual(saying("more bytes than it sent"));
  });

  it("a packet vanishes without a counted drop", () => {
    expect(
      broken((story) => {
        tamper(story, (outputs, type) => (type === "datagram" ? [] : outputs));
        story.world.say(story.bob, story.alice);
        story.run(2000);
      }, false),
    ).toEqual(saying("vanished without a counted drop"));
  });

  it("a drop has no proper reason", () => {
    expect(
      broken((story) => {
        tamper(story, () => [{ type: "drop", reason: "Some text" }]);
        story.world.say(story.bob, story.alice);
        story.run(2000);
      }, false),
    ).toEqual(saying('drop without a proper reason "Some text"'));
  });

  it("the code throws", () => {
    const breaches = broken((story) => {
      tamper(story, () => {
        throw new Error("a bug");
      });
      story.world.say(story.bob, story.alice);
      story.run(2000);
    }, false);
    expect(breaches).toEqual(saying("exception: Error: a bug"));
  });

  it("a deadline stays in the past", () => {
    const breaches = broken((story) => {
      const { overlay } = story.alice;
      if (overlay !== undefined) overlay.deadline = () => ({ at: 0 as never, why: "for ever" });
      story.world.say(story.alice, story.bob);
      story.run(1);
    });
    expect(breaches).toEqual(saying('the deadline "for ever" stays in the past'));
  });

  it("a table grows beyond its limit", () => {
    const breaches = broken(({ alice }) => {
      Object.assign(alice.overlay?.config.host ?? {}, { maxAssociations: 0 });
    });
    expect(breaches).toEqual(saying("1 associations, more than 0"));
  });

  it("the peers in use are not those that should be", () => {
    expect(broken(({ alice }) => Object.assign(alice, { filePeers: [] }))).toEqual(
      saying('peers are "bob" instead of ""'),
    );
  });

  it("an LSI changes or leads elsewhere", () => {
    const breaches = broken((story) => {
      story.world.invariants.examine(story.alice);
      const peer = story.alice.overlay?.peers.byHit(story.bob.hit);
      if (peer !== undefined) peer.lsi = "198.18.0.1" as typeof peer.lsi;
    });
    expect(breaches).toEqual(saying("changed to 198.18.0.1"));
    expect(breaches).toEqual(saying("does not lead to its peer"));
  });

  it("a request has no end", () => {
    const story = new Story().begin();
    story.alice.request({ type: "events", since: undefined }, 100);
    story.run(500);
    expect(story.alice.overdue()).toEqual([]);
    story.run(2000);
    expect(story.alice.overdue()).toEqual(["events"]);
  });

  it("two who may talk cannot", () => {
    const story = new Story().begin();
    story.world.network.loses = () => true;
    calm(story.world, 20_000);
    expect(story.world.invariants.breaches).toEqual(saying("alice and bob could not talk within 20000 ms"));
  });

  it("time stands still", () => {
    const queue = new EventQueue();
    const again = (): void => {
      queue.after(0, again);
    };
    again();
    expect(() => queue.run(10)).toThrow("time stands still");
  });
});

describe("virtual time", () => {
  it("runs in order, and things planned for one moment in the order of planning", () => {
    const queue = new EventQueue();
    const seen: string[] = [];
    for (const [at, name] of [
      [5, "c"],
      [1, "a"],
      [5, "d"],
      [3, "b"],
    ] as const) {
      queue.at(at, () => seen.push(`${name}${queue.now}`));
    }
    const cancel = queue.at(4, () => seen.push("never"));
    cancel();
    queue.run(4);
    expect(seen).toEqual(["a1", "b3"]);
    queue.run(100);
    expect(seen).toEqual(["a1", "b3", "c5", "d5"]);
    expect(queue.now).toBe(100);
  });

  it("keeps its order with many things", () => {
    const queue = new EventQueue();
    const random = new SeededRandom(7);
    const seen: number[] = [];
    for (let i = 0; i < 2000; i++) queue.at(random.below(500), () => seen.push(queue.now));
    queue.run(1000);
    expect(seen).toHaveLength(2000);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  });
});

describe("seeded randomness", () => {
  it("is the same for the same seed and evenly spread", () => {
    const [a, b, c] = [new SeededRandom(1), new SeededRandom(1), new SeededRandom(2)];
    expect(a.bytes(16)).toEqual(b.bytes(16));
    expect(a.u32()).not.toBe(c.u32());
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) {
      const n = a.below(10);
      counts[n] = (counts[n] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});

describe("a NAT of RFC 4787", () => {
  const inside = { address: "192.168.1.2", port: 10500 };
  const [x, y] = [
    { address: "10.0.0.1", port: 1 },
    { address: "10.0.0.2", port: 1 },
  ];
  const xOther = { ...x, port: 2 };

  it.each([
    ["endpoint", true, true],
    ["address", true, false],
    ["address-and-port", false, false],
  ] as const)("with %s mapping", (mapping, samePort, sameAddress) => {
    const nat = new Nat("203.0.113.1", { mapping, filtering: "endpoint", expiry: 1000 });
    const first = nat.outbound(inside, x, 0).port;
    expect(nat.outbound(inside, xOther, 0).port === first).toBe(samePort);
    expect(nat.outbound(inside, y, 0).port === first).toBe(sameAddress);
    expect(nat.outbound(inside, x, 0).port).toBe(first);
  });

  it.each([
    ["endpoint", true, true],
    ["address", true, false],
    ["address-and-port", false, false],
  ] as const)("with %s filtering", (filtering, fromSameAddress, fromOther) => {
    const nat = new Nat("203.0.113.1", { mapping: "endpoint", filtering, expiry: 1000 });
    const { port } = nat.outbound(inside, x, 0);
    expect(nat.inbound(port, x, 10)).toEqual(inside);
    expect(nat.inbound(port, xOther, 10) !== undefined).toBe(fromSameAddress);
    expect(nat.inbound(port, y, 10) !== undefined).toBe(fromOther);
    expect(nat.inbound(port + 1, x, 10)).toBeUndefined();
  });

  it("forgets a mapping that nobody uses, and gives another port then", () => {
    const nat = new Nat("203.0.113.1", { mapping: "endpoint", filtering: "endpoint", expiry: 1000 });
    const { port } = nat.outbound(inside, x, 0);
    expect(nat.inbound(port, x, 1000)).toEqual(inside);
    expect(nat.inbound(port, x, 1001)).toBeUndefined();
    expect(nat.outbound(inside, x, 1001).port).not.toBe(port);
    nat.forget();
    expect(nat.inbound(port + 1, x, 1001)).toBeUndefined();
  });
});
