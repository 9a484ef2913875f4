/** Hosts that lose their memory, their network, or each other. */
import { describe, expect, it } from "vitest";
import { Story } from "../support/story.ts";

function talking(options: ConstructorParameters<typeof Story>[0] = {}): Story {
  const story = new Story(options).begin();
  story.talk(story.alice, story.bob, 5000);
  return story;
}

describe("reboot", () => {
  it.each([
    ["the responder", "bob", "alice"],
    ["the responder, which speaks first", "bob", "bob"],
    ["the initiator", "alice", "bob"],
    ["the initiator, which speaks first", "alice", "alice"],
  ])("of %s ends in a working association", (_title, who, first) => {
    const story = talking();
    const daemon = story.world.daemon(who);
    daemon.crash();
    story.run(300);
    daemon.boot();
    const speaker = story.world.daemon(first);
    const other = first === "alice" ? story.bob : story.alice;
    // An old SA of the speaker is answered by a call back, not by silence.
    expect(story.reaches(speaker, other, 30_000)).toBeLessThan(5000);
    story.reaches(other, speaker, 5000);
    story.sound();
  });

  it("of both ends in a working association", () => {
    const story = talking();
    for (const daemon of [story.alice, story.bob]) daemon.crash();
    for (const daemon of [story.alice, story.bob]) daemon.boot();
    story.run(100);
    expect(story.reaches(story.alice, story.bob)).toBeLessThan(1000);
    story.reaches(story.bob, story.alice, 1000);
    story.sound();
  });

  it.each(["I1", "R1", "I2", "R2"])("after the %s of an exchange does not stop it", (name) => {
    for (const who of ["alice", "bob"]) {
      const story = new Story().begin();
      const daemon = story.world.daemon(who);
      let rebooted = false;
      story.world.network.loses = (packet, from) => {
        if (rebooted || packet.payload.kind !== "hip" || story.packets().at(-1)?.endsWith(name) !== true)
          return false;
        rebooted = from !== "";
        story.world.queue.after(0, () => {
          daemon.crash();
          daemon.boot();
        });
        return false;
      };
      story.talk(story.alice, story.bob);
      expect(rebooted).toBe(true);
      story.sound();
    }
  });

  it("of a peer that nobody can call is noticed by who only sends", () => {
    const story = new Story();
    const { alice, bob } = story;
    // Bob knows no locator of Alice: his call back is not possible.
    bob.filePeers = bob.filePeers.map((peer) => ({ ...peer, locators: [] }));
    story.begin();
    story.talk(alice, bob, 5000);
    bob.crash();
    bob.boot();
    expect(story.reaches(alice, bob, 90_000)).toBeGreaterThan(10_000);
    expect(story.events(alice, "association-closed")).toBe(1);
    story.sound();
  });

  it("of a host whose peer moves meanwhile: the peer calls it when nobody answers, whoever has something to say", () => {
    const story = talking();
    const { alice, bob } = story;
    alice.crash();
    bob.move(["10.0.2.2"]);
    alice.boot();
    // Alice calls where Bob was, and knows no UPDATE of his.
    expect(story.reaches(alice, bob, 90_000)).toBeLessThan(45_000);
    story.sound();
  });

  it("keeps every LSI", () => {
    const story = talking();
    const lsi = story.ask(story.alice, { type: "peer-show", peer: "bob" })[0];
    story.alice.crash();
    story.alice.boot();
    const again = story.ask(story.alice, { type: "peer-show", peer: "bob" })[0];
    expect(again?.type === "peer" && lsi?.type === "peer" && again.peer.lsi === lsi.peer.lsi).toBe(true);
    story.sound();
  });

  it("with a wall clock set back does not matter", () => {
    const story = talking();
    story.bob.crash();
    story.bob.wallError = -86_400_000;
    story.bob.boot();
    story.talk(story.alice, story.bob, 30_000);
    story.sound();
  });
});

describe("a partition", () => {
  it("during the exchange only delays it", () => {
    const story = new Story().begin();
    const { alice, bob, world } = story;
    world.say(alice, bob);
    world.run(10_000, () => story.packets().includes("alice I2"));
    world.network.partition("alice", "bob");
    story.run(3000);
    world.network.heal("alice", "bob");
    story.talk(alice, bob, 15_000);
    story.sound();
  });

  it("that is long closes the association; data flow again when it ends", () => {
    const story = talking();
    const { alice, bob, world } = story;
    world.network.partition("alice", "bob");
    for (let i = 0; i < 60; i++) {
      world.say(alice, bob);
      story.run(1000);
    }
    expect(story.state(alice, bob)).not.toBe("ESTABLISHED");
    world.network.heal("alice", "bob");
    story.talk(alice, bob);
    story.sound();
  });
});

describe("an association", () => {
  it("that nobody uses is closed, and made anew for the next packet", () => {
    const story = new Story();
    for (const { machine } of story.world.daemons) {
      const { timers } = machine.host;
      Object.assign(machine.host, { timers: { ...timers, unusedAssociationLifetime: 20_000 } });
    }
    story.begin();
    story.talk(story.alice, story.bob, 5000);
    story.run(15_000);
    expect(story.state(story.alice, story.bob)).toBe("ESTABLISHED");
    story.run(30_000);
    expect(story.state(story.alice, story.bob)).not.toBe("ESTABLISHED");
    expect(story.packets()).toContain("alice CLOSE");
    story.talk(story.alice, story.bob, 2000);
    story.sound();
  });

  it("is rekeyed under load without a lost packet", () => {
    for (const rekeyWithDh of [true, false]) {
      const story = new Story({ host: { softPackets: 50, rekeyWithDh } }).begin();
      const { alice, bob, world } = story;
      for (let i = 0; i < 400; i++) {
        world.say(alice, bob);
        world.say(bob, alice, "lsi");
        story.run(20);
      }
      story.run(1000);
      for (const daemon of [alice, bob]) {
        const peer = daemon === alice ? "bob" : "alice";
        expect(story.ask(daemon, { type: "peer-show", peer })[0]).toMatchObject({
          peer: { rxPackets: 400, txPackets: 400 },
        });
        expect(story.events(daemon, "association-rekeyed")).toBeGreaterThan(3);
      }
      story.sound();
    }
  });

  it("ends with the daemon: the peer is told, and its next packet calls again", () => {
    const story = talking();
    let stopped = false;
    story.alice.stop(2000, () => {
      stopped = true;
    });
    expect(story.world.run(2100, () => stopped)).toBe(true);
    story.run(500);
    expect(story.state(story.bob, story.alice)).not.toBe("ESTABLISHED");
    story.alice.boot();
    story.talk(story.bob, story.alice, 5000);
    story.sound();
  });

  it("is not disturbed by jumps of the wall clock", () => {
    const story = talking();
    for (const jump of [86_400_000, -2 * 86_400_000]) {
      story.alice.wallError = jump;
      story.run(1000);
      expect(story.reaches(story.alice, story.bob, 1000)).toBeLessThan(200);
    }
    expect(story.events(story.alice, "association-established")).toBe(1);
    story.sound();
  });

  it("survives jobs that take half a second each", () => {
    const story = new Story();
    story.world.jobDelay = 500;
    story.begin();
    story.run(10_000);
    story.talk(story.alice, story.bob);
    story.sound();
  });
});

describe("behind a NAT", () => {
  it("a host reaches a public one, and is reached through what it opened, for every kind of RFC 4787", async () => {
    const { Nat } = await import("../sim/nat.ts");
    for (const mapping of ["endpoint", "address", "address-and-port"] as const) {
      for (const filtering of ["endpoint", "address", "address-and-port"] as const) {
        const story = new Story();
        const { alice, bob, world } = story;
        const inside = alice.machine.addresses[0] as string;
        world.network.attachNat(inside, new Nat("203.0.113.7", { mapping, filtering, expiry: 60_000 }));
        bob.filePeers = bob.filePeers.map((peer) => ({ ...peer, locators: [] }));
        story.begin();
        story.reaches(alice, bob, 5000);
        expect(story.reaches(bob, alice, 5000)).toBeLessThan(200);
        expect(story.ask(bob, { type: "status" })[0]).toMatchObject({
          peers: [{ path: { remote: expect.stringMatching(/^203\.0\.113\.7:4/) as string } }],
        });
        story.sound();
      }
    }
  });
});
