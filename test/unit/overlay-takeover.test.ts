/** Which of its predecessor's associations an overlay goes on with. */
import { describe, expect, it } from "vitest";
import type { Carrier, Hit, Instant } from "../../src/core/types.ts";
import type { HandedHost } from "../../src/hip/takeover.ts";
import type { PeerConfig } from "../../src/overlay/config.ts";
import { Overlay } from "../../src/overlay/overlay.ts";
import type { HandedOverlay } from "../../src/overlay/takeover.ts";
import {
  BOB,
  CAROL,
  FakeProtocol,
  overlayConfig,
  peerConfig,
  SECOND_SELF,
  SELF,
  WALL,
} from "../support/overlay.ts";
import { SeededRandom } from "../support/random.ts";

/** An association with as much of it as an overlay looks at. */
function association(peer: Hit, local: Hit = SELF, name = "ESTABLISHED"): HandedHost["associations"][number] {
  return { local, peer, since: 0, state: { name, session: { mobility: {} } } } as never;
}

interface Before {
  readonly associations: readonly ReturnType<typeof association>[];
  readonly settings?: HandedOverlay["settings"];
  readonly found?: HandedOverlay["found"];
}

/** A successor with these peers; what it asks of the protocol, and whom it knows when associations go on. */
function succeeded(peers: readonly PeerConfig[], before: Before, names = {}) {
  const known: (string | undefined)[] = [];
  const fake = new FakeProtocol();
  const protocol = Object.assign(fake, {
    resume: (from: HandedHost) => {
      known.push(...from.associations.map(({ peer }) => overlay.peers.byHit(peer)?.config.name));
      return [];
    },
  });
  const handed: HandedOverlay = {
    host: {
      associations: before.associations,
      leftovers: [],
      r1s: { secret: [1, 2], generation: 0n, r1s: [] },
    },
    peers: [],
    settings: before.settings ?? [],
    found: before.found ?? [],
    routes: before.associations.map(({ peer }) => [peer, 0x2222] as never),
    sizes: [],
    cloud: undefined,
  };
  const made = Overlay.create({
    config: overlayConfig({ peers, names: { domain: "hip", host: "me", dnsPeers: true, ...names } }),
    facts: { version: "1.2.3", interface: "hip0" },
    saved: undefined,
    random: new SeededRandom(1),
    handed,
    makeProtocol: () => protocol,
  });
  if (!made.ok) throw new Error(made.error);
  const overlay = made.value;
  const outputs = overlay.handle({ type: "start" }, 1_000 as Instant, WALL);
  return { overlay, known, outputs, forgotten: fake.asked("forget").map((one) => "peer" in one && one.peer) };
}

const settings = (localHit: Hit, carrier: Carrier): HandedOverlay["settings"] => [[BOB, localHit, carrier]];

describe("an association with a configured peer goes on", () => {
  it("under another identity and by another carrier than configured, where the configuration is the same", () => {
    const associations = [association(BOB, SECOND_SELF)];
    const { forgotten } = succeeded([peerConfig("bob", BOB)], {
      associations,
      settings: settings(SELF, "udp"),
    });
    expect(forgotten).toEqual([]);
  });

  it.each([
    ["carrier", settings(SELF, "none")],
    ["identity", settings(SECOND_SELF, "udp")],
    ["peer at all", []],
  ])("but not where there was another %s", (_, before) => {
    const { forgotten } = succeeded([peerConfig("bob", BOB)], {
      associations: [association(BOB)],
      settings: before,
    });
    expect(forgotten).toEqual([BOB]);
  });

  it("and only those that are open are counted; one that is being closed is nothing to begin anew", () => {
    const associations = [association(BOB, SELF, "CLOSING")];
    const { forgotten, outputs } = succeeded([peerConfig("bob", BOB)], { associations });
    expect(forgotten).toEqual([]);
    const told = outputs.flatMap((one) =>
      one.type === "event" && one.event.name === "taken-over" ? [one.event.detail] : [],
    );
    expect(told).toEqual([{ associations: 0 }]);
  });
});

it("a peer whose HIT came from DNS is known before its association goes on", () => {
  const dns = "vm1.example.org";
  const peers = [
    peerConfig("vm", undefined, { dns }),
    peerConfig("other", undefined, { dns: "vm2.example.org" }),
  ];
  const { known, forgotten } = succeeded(peers, {
    associations: [association(BOB), association(CAROL)],
    settings: [
      [BOB, SELF, "udp"],
      [CAROL, SELF, "udp"],
    ],
    found: [
      ["vm", BOB],
      ["other", CAROL],
      ["gone", SELF],
    ],
  });
  expect(known).toEqual(["vm", "other"]);
  expect(forgotten).toEqual([]);
});
