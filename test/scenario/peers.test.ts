/** Peers that come, go and change while daemons run; strangers and liars. */
import { describe, expect, it } from "vitest";
import { simIdentity } from "../sim/jobs.ts";
import type { Packet } from "../sim/network.ts";
import { Story } from "../support/story.ts";

describe("a peer", () => {
  it("removed while talking hears CLOSE, and not a packet leaves for it any more", () => {
    const story = new Story().begin();
    const { alice, bob, world } = story;
    story.talk(alice, bob, 5000);
    alice.removePeer("bob", false);
    story.run(1000);
    expect(story.state(bob, alice)).toBe("CLOSED");
    const hit = bob.hit;
    expect(alice.plane?.routeOf(hit)).toBe("unknown");
    expect(alice.plane?.outboundSas).toEqual([]);
    expect(alice.plane?.inboundSas).toEqual([]);
    const before = story.packets().length;
    alice.send(hit, { id: 0, kind: "echo-request", family: "hit", size: 1, sequence: 1, sentAt: 0 });
    story.run(1000);
    expect(story.packets()).toHaveLength(before);
    // Nor does its call get an answer.
    world.say(bob, alice);
    story.run(30_000);
    expect(world.heard(bob, alice)).toBeLessThan(world.queue.now - 30_000);
    story.sound();
  });

  it("added again is reached again, with the LSI that it had", () => {
    const story = new Story().begin();
    const { alice, bob } = story;
    const peer = alice.filePeers[0];
    const lsi = alice.overlay?.lsis.lsi(bob.hit);
    alice.removePeer("bob", false);
    story.run(100);
    if (peer !== undefined) alice.addPeer(peer, false);
    story.run(100);
    story.talk(alice, bob, 10_000);
    expect(alice.overlay?.lsis.lsi(bob.hit)).toBe(lsi);
    story.sound();
  });

  it("kept is there after a restart, one that is not kept is gone", () => {
    const story = new Story({ hosts: 3 });
    const { alice, bob, carol } = story;
    const [toBob, toCarol] = alice.filePeers;
    alice.filePeers = [];
    story.begin();
    if (toBob !== undefined) alice.addPeer(toBob, true);
    if (toCarol !== undefined) alice.addPeer(toCarol, false);
    story.run(100);
    story.talk(alice, bob, 5000);
    story.talk(alice, carol, 5000);
    alice.crash();
    alice.boot();
    story.talk(alice, bob, 30_000);
    expect(story.ask(alice, { type: "peer-show", peer: "carol" })[0]).toMatchObject({ code: "not_found" });
    story.sound();
  });

  it("with another address in the file is found there after a reload; others do not notice", () => {
    const story = new Story({ hosts: 3 });
    const { alice, bob, carol } = story;
    const wrong = { address: "203.0.113.99", port: 10500 };
    const right = alice.filePeers;
    alice.filePeers = right.map((peer) => (peer.name === "bob" ? { ...peer, locators: [wrong] } : peer));
    story.begin();
    story.talk(alice, carol, 5000);
    story.world.say(alice, bob);
    story.run(5000);
    expect(story.world.heard(alice, bob)).toBeUndefined();
    alice.filePeers = right;
    alice.reload();
    story.talk(alice, bob, 30_000);
    expect(story.events(carol, "association-established")).toBe(1);
    expect(story.events(carol, "association-closed")).toBe(0);
    story.sound();
  });

  it("with a dead first locator is reached by the second at once", () => {
    const story = new Story();
    const { alice, bob } = story;
    alice.filePeers = alice.filePeers.map((peer) => ({
      ...peer,
      locators: [{ address: "203.0.113.99", port: 10500 }, ...peer.locators],
    }));
    story.begin();
    expect(story.reaches(alice, bob)).toBeLessThan(500);
    story.sound();
  });

  it("is reached over IPv6", () => {
    const story = new Story();
    const { alice, bob } = story;
    for (const daemon of [alice, bob]) {
      const other = daemon === alice ? bob : alice;
      const address = other.machine.addresses.find((one) => one.includes(":")) as string;
      daemon.filePeers = daemon.filePeers.map((peer) => ({ ...peer, locators: [{ address, port: 10500 }] }));
    }
    story.begin();
    story.talk(alice, bob, 5000);
    expect(story.ask(alice, { type: "status" })[0]).toMatchObject({
      peers: [{ path: { local: "[2001:db8:1::1]:10500", remote: "[2001:db8:2::1]:10500" } }],
    });
    story.sound();
  });

  it("can be shown another identity", () => {
    const story = new Story();
    const { alice, bob } = story;
    const second = simIdentity("ed25519", 40);
    Object.assign(alice.machine, { identities: [...alice.machine.identities, second] });
    story.world.invariants.own(second.hit, "alice");
    alice.filePeers = alice.filePeers.map((peer) => ({ ...peer, localHit: second.hit }));
    bob.filePeers = bob.filePeers.map((peer) => ({ ...peer, hit: second.hit }));
    story.begin();
    story.talk(alice, bob, 5000);
    expect(story.world.hitOf(bob, alice)).toBe(second.hit);
    story.sound();
  });

  it("that moves to plain IP at both ends is reached there at once", () => {
    const story = new Story().begin();
    const { alice, bob } = story;
    story.talk(alice, bob, 5000);
    for (const daemon of [alice, bob]) {
      daemon.filePeers = daemon.filePeers.map((peer) => ({
        ...peer,
        carrier: "none",
        locators: peer.locators.map(({ address }) => ({ address, port: 0 })),
      }));
      daemon.reload();
    }
    story.run(200);
    expect(story.reaches(alice, bob)).toBeLessThan(500);
    expect(story.ask(alice, { type: "status" })[0]).toMatchObject({ peers: [{ path: { carrier: "none" } }] });
    story.sound();
  });

  it("behind a bad configuration changes nothing, and the talk goes on", () => {
    const story = new Story().begin();
    const { alice, bob } = story;
    story.talk(alice, bob, 5000);
    const good = alice.filePeers;
    alice.filePeers = [...good, ...good];
    const replies: string[] = [];
    alice.reload((reply) => replies.push(reply.type));
    alice.filePeers = good;
    expect(replies).toEqual(["error"]);
    story.reaches(alice, bob, 500);
    expect(story.events(bob, "association-closed")).toBe(0);
    story.sound();
  });
});

describe("an attacker", () => {
  /** Two hosts that have talked, with every packet that they sent. */
  function overheard(): { readonly story: Story; readonly packets: readonly Packet[] } {
    const story = new Story();
    const packets: Packet[] = [];
    story.world.network.loses = (packet) => {
      packets.push(packet);
      return false;
    };
    story.begin();
    story.talk(story.alice, story.bob, 5000);
    story.world.network.loses = undefined;
    return { story, packets };
  }

  it("who replays everything changes nothing and delivers nothing twice", () => {
    const { story, packets } = overheard();
    for (let round = 0; round < 2; round++) {
      for (const packet of packets) {
        story.world.network.send("mallory", packet);
        story.run(50);
      }
    }
    expect(story.state(story.alice, story.bob)).toBe("ESTABLISHED");
    expect(story.state(story.bob, story.alice)).toBe("ESTABLISHED");
    expect(story.events(story.bob, "association-established")).toBe(1);
    expect(story.reaches(story.alice, story.bob, 1000)).toBeLessThan(200);
    story.sound();
  });

  it("who replays everything to a rebooted host cannot make it believe in the old association", () => {
    const { story, packets } = overheard();
    story.bob.crash();
    story.bob.boot();
    story.run(100);
    for (const packet of packets.filter(({ destination }) => destination.address.startsWith("10.0.2"))) {
      story.world.network.send("mallory", packet);
      story.run(50);
    }
    story.run(3000);
    // ESP under the old SA makes Bob call Alice, who answers: what stands then is new.
    expect(story.state(story.bob, story.alice)).toBe("ESTABLISHED");
    story.talk(story.alice, story.bob, 5000);
    story.sound();
  });

  it("who flips any one bit of a packet of the exchange only delays it", () => {
    for (const name of ["I1", "R1", "I2", "R2"]) {
      for (let at = 3; at < 700; at += 61) {
        const story = new Story().begin();
        let done = false;
        story.world.network.loses = (packet, from) => {
          if (done || from === "mallory" || packet.payload.kind !== "hip") return false;
          if (story.packets().at(-1)?.endsWith(` ${name}`) !== true) return false;
          done = true;
          const bytes = packet.payload.bytes.slice();
          bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ 0x10;
          story.world.network.send("mallory", { ...packet, payload: { kind: "hip", bytes } });
          return true;
        };
        story.talk(story.alice, story.bob, 20_000);
        expect(done).toBe(true);
        story.sound();
      }
    }
  });

  it("who damages a packet without UDP is stopped by the checksum", () => {
    const story = new Story({ carrier: "none" }).begin();
    let damaged = 0;
    story.world.network.loses = (packet, from) => {
      if (damaged >= 2 || from === "mallory" || packet.payload.kind !== "hip") return false;
      damaged++;
      const bytes = packet.payload.bytes.slice();
      bytes[30] = (bytes[30] as number) ^ 1;
      story.world.network.send("mallory", { ...packet, payload: { kind: "hip", bytes } });
      return true;
    };
    story.talk(story.alice, story.bob, 10_000);
    const counters = story.ask(story.bob, { type: "counters" })[0];
    expect(counters).toMatchObject({ counters: { drop_checksum_total: 2 } });
    story.sound();
  });
});
