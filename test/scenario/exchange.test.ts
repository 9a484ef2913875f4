/** Two hosts meet: the base exchange as whole daemons live it. */
import { describe, expect, it } from "vitest";
import { Story } from "../support/story.ts";

describe("two hosts", () => {
  it("talk, by HIT and by LSI, after four packets", () => {
    const story = new Story().begin();
    const { alice, bob } = story;
    story.reaches(alice, bob);
    story.reaches(bob, alice, 1000, "lsi");
    story.reaches(alice, bob, 1000, "lsi");
    expect(story.packets()).toEqual(["alice I1", "bob R1", "alice I2", "bob R2"]);
    expect(story.state(alice, bob)).toBe("ESTABLISHED");
    expect(story.state(bob, alice)).toBe("ESTABLISHED");
    story.sound();
  });

  it("lose no packet while the exchange runs: the first ones wait", () => {
    const story = new Story().begin();
    const { alice, bob, world } = story;
    for (let i = 0; i < 10; i++) world.say(alice, bob);
    story.run(1000);
    const reply = story.ask(bob, { type: "peer-show", peer: "alice" })[0];
    expect(reply).toMatchObject({ peer: { rxPackets: 10, state: "ESTABLISHED", suite: "AES-GCM-16" } });
    story.sound();
  });

  it("hold only so many", () => {
    const story = new Story().begin();
    for (let i = 0; i < 40; i++) story.world.say(story.alice, story.bob);
    story.run(1000);
    expect(story.ask(story.bob, { type: "peer-show", peer: "alice" })[0]).toMatchObject({
      peer: { rxPackets: 16 },
    });
    story.sound();
  });

  it.each(["I1", "R1", "I2", "R2"])("get over a lost %s", (name) => {
    const story = new Story().begin();
    story.lose(2, name);
    const took = story.reaches(story.alice, story.bob);
    expect(took).toBeGreaterThan(500);
    expect(took).toBeLessThan(5000);
    story.reaches(story.bob, story.alice, 2000);
    story.sound();
  });

  it("agree when both begin at once", () => {
    const story = new Story().begin();
    const { alice, bob, world } = story;
    world.say(alice, bob);
    world.say(bob, alice);
    story.run(2000);
    expect(world.heard(alice, bob)).toBeDefined();
    expect(world.heard(bob, alice)).toBeDefined();
    expect(story.packets().slice(0, 2).toSorted()).toEqual(["alice I1", "bob I1"]);
    expect(story.events(alice, "association-established")).toBe(1);
    expect(story.events(bob, "association-established")).toBe(1);
    story.sound();
  });

  it("agree when their I2s cross", () => {
    const story = new Story().begin();
    const { alice, bob, world } = story;
    // Each I1 comes through once before the other side has begun.
    world.jobDelay = 50;
    world.say(alice, bob);
    world.queue.after(5, () => world.say(bob, alice));
    story.run(5000);
    story.talk(alice, bob, 5000);
    story.sound();
  });

  it("do not mind every packet arriving three times", () => {
    const story = new Story({
      faults: { loss: 0, burst: 0, burstLength: 1, duplicate: 1, reorder: 0.3, jitter: 20 },
    }).begin();
    story.talk(story.alice, story.bob, 5000);
    expect(story.events(story.alice, "association-established")).toBe(1);
    story.sound();
  });

  it("get through when a third of all packets is lost", () => {
    const story = new Story({
      faults: { loss: 0.33, burst: 0, burstLength: 1, duplicate: 0, reorder: 0, jitter: 0 },
    }).begin();
    story.talk(story.alice, story.bob);
    story.sound();
  });

  it("talk without UDP, with checksums in HIP", () => {
    const story = new Story({ carrier: "none" }).begin();
    story.talk(story.alice, story.bob, 2000);
    const status = story.ask(story.alice, { type: "status" })[0];
    expect(status).toMatchObject({
      peers: [{ path: { carrier: "none", local: "10.0.1.1", remote: "10.0.2.1" } }],
    });
    story.sound();
  });

  it("talk with Ed25519 keys", () => {
    const story = new Story({ keys: "ed25519" }).begin();
    story.talk(story.alice, story.bob, 2000);
    story.sound();
  });

  it("are shown with their addresses in status", () => {
    const story = new Story().begin();
    story.talk(story.alice, story.bob, 2000);
    for (const [one, local, remote] of [
      [story.alice, "10.0.1.1:10500", "10.0.2.1:10500"],
      [story.bob, "10.0.2.1:10500", "10.0.1.1:10500"],
    ] as const) {
      expect(story.ask(one, { type: "status" })[0]).toMatchObject({
        peers: [{ path: { carrier: "udp", local, remote } }],
      });
    }
    story.sound();
  });
});

describe("a host that knows a peer", () => {
  it("that does not know it gets nothing, and its applications hear so", () => {
    const story = new Story().begin();
    const { alice, bob, world } = story;
    bob.filePeers = [];
    bob.reload();
    world.say(alice, bob);
    story.run(30_000);
    expect(world.heard(alice, bob)).toBeUndefined();
    expect(story.packets().filter((packet) => packet.startsWith("bob"))).toEqual([]);
    expect(story.ask(bob, { type: "counters" })[0]).toMatchObject({ counters: { hip_drop_policy_total: 4 } });
    expect(story.ask(alice, { type: "peer-show", peer: "bob" })[0]).toMatchObject({
      peer: { lastError: expect.stringContaining("no_answer") as string },
    });
    story.sound();
  });

  it("that is down rejects packets while it remembers, then tries again", () => {
    const story = new Story().begin();
    const { alice, bob, world } = story;
    bob.crash();
    world.say(alice, bob);
    const rejects = (): boolean => alice.plane?.routeOf(world.hitOf(alice, bob) ?? alice.hit) === "reject";
    expect(world.run(20_000, rejects)).toBe(true);
    world.say(alice, bob);
    expect(alice.plane?.counters()).toMatchObject({ drop_unreachable_total: 2 });
    expect(world.run(20_000, () => !rejects())).toBe(true);
    bob.boot();
    const took = story.reaches(alice, bob, 10_000);
    expect(took).toBeGreaterThan(0);
    story.sound();
  });

  it("waits for it in hipctl connect, and gets the reason when it fails", () => {
    const story = new Story().begin();
    const { alice, bob } = story;
    const connect = { type: "connect", peer: "bob", timeoutMillis: 60_000 } as const;
    expect(story.ask(alice, connect)[0]).toMatchObject({
      type: "connected",
      association: { name: "bob", role: "initiator" },
    });
    story.ask(alice, { type: "association-close", peer: "bob" });
    bob.crash();
    story.run(1000);
    expect(story.ask(alice, { ...connect, timeoutMillis: 300 })[0]).toMatchObject({
      type: "error",
      code: "timeout",
    });
    expect(story.ask(alice, connect)[0]).toMatchObject({ type: "error", code: "failed" });
    bob.boot();
    expect(story.ask(alice, connect)[0]).toMatchObject({ type: "connected" });
    story.sound();
  });

  it("pings it: first the exchange, then round trips", () => {
    const story = new Story().begin();
    const ping = {
      type: "ping",
      peer: "bob",
      count: 3,
      intervalMillis: 200,
      bytes: 56,
      timeoutMillis: 2000,
    } as const;
    const replies = story.ask(story.alice, ping);
    expect(replies.map(({ type }) => type)).toEqual([
      "ping-start",
      "ping-reply",
      "ping-reply",
      "ping-reply",
      "ping-done",
    ]);
    expect(replies[0]).toMatchObject({ exchangeMillis: expect.any(Number) as number });
    expect(replies.at(-1)).toMatchObject({ sent: 3, received: 3, minMillis: expect.any(Number) as number });
    story.sound();
  });
});

describe("opportunistic mode", () => {
  const host = { opportunistic: true };

  it("finds the HIT of a peer that is known by its address only, and keeps it", () => {
    const story = new Story({ host });
    const { alice, bob } = story;
    alice.filePeers = alice.filePeers.map((peer) => ({ ...peer, hit: undefined }));
    alice.boot();
    bob.boot();
    story.run(100);
    // The model of the simulator knows peers by their HITs only.
    alice.knows = () => true;
    const reply = story.ask(alice, { type: "connect", peer: "bob", timeoutMillis: 10_000 })[0];
    expect(reply).toMatchObject({ type: "connected", association: { name: "bob" } });
    expect(story.ask(alice, { type: "peer-show", peer: "bob" })[0]).toMatchObject({
      peer: {
        opportunistic: true,
        state: "ESTABLISHED",
        lsi: expect.stringMatching(/^198\.18|^10\.99/) as string,
      },
    });
    story.sound();
  });

  it("is refused where it is off", () => {
    const story = new Story({ host });
    const { alice, bob } = story;
    alice.filePeers = alice.filePeers.map((peer) => ({ ...peer, hit: undefined }));
    Object.assign(bob.machine.host, { opportunistic: false });
    story.begin();
    const reply = story.ask(alice, { type: "connect", peer: "bob", timeoutMillis: 30_000 })[0];
    expect(reply).toMatchObject({ type: "error" });
    expect(story.packets().filter((packet) => packet.startsWith("bob"))).toEqual([]);
  });
});
