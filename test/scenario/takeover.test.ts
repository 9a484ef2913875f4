/** A daemon that is replaced while its associations live on. */
import { describe, expect, it } from "vitest";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { Story } from "../support/story.ts";

const A = ["10.0.1.1", "10.0.1.2"] as const;
const B = "10.0.2.1";

function talking(options: ConstructorParameters<typeof Story>[0] = {}): Story {
  const story = new Story(options).begin();
  story.talk(story.alice, story.bob, 5000);
  story.run(15_000);
  return story;
}

/** What happens to a predecessor's associations, by number of exchanges that are begun anew. */
function exchanges(story: Story): number {
  return story.packets().filter((one) => one.endsWith(" I1")).length;
}

describe("a successor", () => {
  it.each([
    ["the initiator", "alice"],
    ["the responder", "bob"],
  ])("of %s goes on without an exchange, ten times", (_title, who) => {
    const story = talking();
    const { alice, bob } = story;
    const before = exchanges(story);
    for (let i = 0; i < 10; i++) {
      story.world.daemon(who).takeOver(100);
      story.run(1);
      expect(story.reaches(alice, bob)).toBeLessThan(50);
      expect(story.reaches(bob, alice)).toBeLessThan(50);
    }
    expect(exchanges(story)).toBe(before);
    expect(story.state(alice, bob)).toBe("ESTABLISHED");
    expect(story.events(story.world.daemon(who), "taken-over")).toBe(10);
    story.sound();
  });

  it("follows the peer, moves and draws new keys as its predecessor would have", () => {
    const story = talking({ mobile: true, addresses: [[A[0]], [B]], host: { softPackets: 20 } });
    const { alice, bob, world } = story;
    const before = exchanges(story);
    bob.takeOver(100);
    story.run(10);
    alice.move([A[1]]);
    expect(story.reaches(alice, bob)).toBeLessThan(1500);
    alice.takeOver(100);
    story.run(10);
    alice.move([A[0]]);
    expect(story.reaches(bob, alice)).toBeLessThan(1500);
    for (let i = 0; i < 100; i++) {
      world.say(alice, bob);
      story.run(20);
    }
    expect(story.events(alice, "association-rekeyed")).toBeGreaterThan(0);
    expect(story.events(alice, "handover")).toBeGreaterThan(0);
    story.talk(alice, bob, 5000);
    expect(exchanges(story)).toBe(before);
    story.sound();
  });

  it("knows where it is: nobody is told anything that did not change", () => {
    const story = talking({ mobile: true, addresses: [[...A], [B]] });
    const { alice } = story;
    const before = story.packets().length;
    alice.takeOver(100);
    story.run(500);
    expect(story.packets().slice(before)).toEqual([]);
    expect(story.events(alice, "locators-announced")).toBeLessThanOrEqual(1);
    story.sound();
  });

  it("keeps an association for which new keys are being drawn", () => {
    // The R1s of hundreds of predecessors are not what this is about.
    const timers = { ...DEFAULT_CONFIG.timers, r1Remembered: 100 };
    for (const rekeyWithDh of [true, false]) {
      const story = new Story({ host: { softPackets: 20, rekeyWithDh, timers } }).begin();
      const { alice, bob, world } = story;
      story.talk(alice, bob, 5000);
      const before = exchanges(story);
      // Every few milliseconds another moment of a rekeying.
      for (let i = 0; i < 300; i++) {
        world.say(alice, bob);
        world.say(bob, alice, "lsi");
        story.run(7);
        world.daemon(i % 2 === 0 ? "alice" : "bob").takeOver(i % 3 === 0 ? 50 : 0);
        story.run(6);
      }
      story.run(60_000);
      story.talk(alice, bob, 5000);
      expect(exchanges(story)).toBe(before);
      expect(story.events(alice, "association-rekeyed")).toBeGreaterThan(3);
      expect(story.events(bob, "association-rekeyed")).toBeGreaterThan(3);
      story.sound();
    }
  });

  it("keeps a peer that was added at run time, and its association", () => {
    const story = new Story();
    const { alice, bob } = story;
    const [entry] = alice.filePeers;
    if (entry === undefined) throw new Error("alice knows nobody");
    alice.filePeers = [];
    story.begin();
    alice.addPeer(entry, false);
    story.talk(alice, bob, 5000);
    const before = exchanges(story);
    alice.takeOver(100);
    story.run(1);
    expect(story.reaches(bob, alice)).toBeLessThan(50);
    expect(exchanges(story)).toBe(before);
    story.sound();
  });

  it("does not go on with a peer that is configured no more", () => {
    const story = talking();
    const { alice, bob } = story;
    alice.filePeers = [];
    alice.takeOver(100);
    story.run(2000);
    expect(alice.plane?.outboundSas).toEqual([]);
    expect(story.state(bob, alice)).not.toBe("ESTABLISHED");
    story.sound();
  });

  it("of the Responder finishes an exchange that its predecessor had only given an R1 for", () => {
    const story = new Story().begin();
    const { alice, bob, world } = story;
    const begun = world.queue.now;
    world.say(alice, bob);
    world.run(5000, () => story.packets().includes("bob R1"));
    bob.takeOver(0);
    expect(story.reaches(alice, bob)).toBeLessThan(1000);
    expect(world.queue.now - begun).toBeLessThan(1500);
    expect(exchanges(story)).toBe(1);
    expect(story.events(alice, "association-failed")).toBe(0);
    story.sound();
  });

  it("repeats a CLOSE that was lost, and answers one that is repeated", () => {
    for (const who of ["alice", "bob"]) {
      const story = talking();
      const { alice, bob, world } = story;
      story.lose(1, who === "alice" ? "CLOSE" : "CLOSE_ACK");
      alice.request({ type: "association-close", peer: bob.name }, 1000);
      world.run(2000, () => story.packets().some((one) => one.includes("CLOSE")));
      world.run(50);
      world.daemon(who).takeOver(100);
      story.run(10_000);
      expect(story.state(alice, bob), who).toBe("UNASSOCIATED");
      expect(story.state(bob, alice), who).toBe("CLOSED");
      expect(story.packets().filter((one) => one.endsWith(" CLOSE"))).toHaveLength(2);
      story.talk(alice, bob);
      story.sound();
    }
  });

  it("drops the SAs of an exchange that its predecessor did not finish", () => {
    const story = new Story().begin();
    const { alice, bob, world } = story;
    story.lose(100, "R2");
    world.say(alice, bob);
    world.run(5000, () => story.packets().includes("alice I2"));
    expect(alice.plane?.inboundSas.length).toBe(1);
    alice.takeOver(0);
    story.run(1);
    expect(alice.plane?.inboundSas).toEqual([]);
    world.network.loses = () => false;
    story.talk(alice, bob);
    story.sound();
  });
});
