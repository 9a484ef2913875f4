/** What operators ask of the overlay, and what it answers. */

import { describe, expect, it } from "vitest";
import { err, ok, type Spi } from "../../src/core/types.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import type { ControlReply, NewPeer } from "../../src/overlay/control.ts";
import { isoTime } from "../../src/overlay/views.ts";
import {
  association,
  Bench,
  BOB,
  CAROL,
  identityConfig,
  localAddress,
  only,
  overlayConfig,
  peerConfig,
  SECOND_SELF,
  SELF,
  WALL,
} from "../support/overlay.ts";

const CAROL_TEXT = "2001:22:cccc:cccc:cccc:cccc:cccc:cccc";
const SECOND_TEXT = "2001:22:abab:abab:abab:abab:abab:abab";
const traffic = [{ peer: BOB, txPackets: 3, txBytes: 300, rxPackets: 4, rxBytes: 400, pathMtu: 1480 }];

const carol: NewPeer = {
  name: "carol",
  hit: CAROL_TEXT,
  identity: undefined,
  carrier: "udp",
  locators: [{ address: "192.0.2.20", port: 10500 }],
  inboundFamily: "hit",
};

function names(bench: Bench): readonly string[] {
  return [...bench.overlay.peers.all()].map(({ config }) => config.name);
}

describe("status", () => {
  it("shows the host and every peer, with null for what is not known", () => {
    const bench = new Bench().start();
    bench.now += 2500;
    const reply = bench.answer({ type: "status" });
    expect(reply).toEqual({
      type: "status",
      self: {
        hit: "2001:22:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa",
        lsi: bench.overlay.ownLsi,
        identities: [
          expect.objectContaining({
            hit: "2001:22:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa",
            default: true,
            peers: ["bob"],
          }),
          expect.objectContaining({ hit: SECOND_TEXT, default: false, peers: [] }),
        ] as unknown,
        interface: "hip0",
        port: 10500,
        lsiPrefix: "198.18.0.0/15",
        addresses: [],
      },
      version: "1.2.3",
      startedAt: new Date(WALL + 1000).toISOString(),
      uptimeSeconds: 2,
      peers: [
        {
          name: "bob",
          hit: "2001:22:bbbb:bbbb:bbbb:bbbb:bbbb:bbbb",
          lsi: bench.overlay.lsis.lsi(BOB),
          state: "UNASSOCIATED",
          suite: null,
          path: null,
          txBytes: 0,
          rxBytes: 0,
          txPackets: 0,
          rxPackets: 0,
          establishedAt: null,
          lastError: null,
          lastErrorAt: null,
          locators: ["192.0.2.10:10500"],
          carrier: "udp",
          inboundFamily: "hit",
          identity: "2001:22:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa",
          source: "config",
          file: "/etc/hipd/hipd.toml",
          opportunistic: false,
          pathState: null,
          rttMillis: null,
          otherPaths: 0,
          loss: null,
          handovers: 0,
        },
      ],
    });
  });

  it("tells the same moment in the same way, whatever a sum of fractions makes of it", () => {
    expect(isoTime(1_735_787_045_000 - 1e-3)).toBe("2025-01-02T03:04:05.000Z");
    expect(isoTime(1_735_787_045_000 + 1e-3)).toBe("2025-01-02T03:04:05.000Z");
  });

  it("shows an association with its traffic, suite, path and time", () => {
    const bench = new Bench().start();
    bench.give({ type: "addresses", local: [localAddress("192.0.2.1")] });
    bench.establish(BOB);
    bench.now += 1000;
    expect(bench.answer({ type: "status" }, traffic)).toMatchObject({
      self: { addresses: ["192.0.2.1"] },
      peers: [
        {
          state: "ESTABLISHED",
          suite: "AES-GCM-16",
          path: { carrier: "udp", local: "192.0.2.1:10500", remote: "192.0.2.10:10500" },
          txBytes: 300,
          rxBytes: 400,
          txPackets: 3,
          rxPackets: 4,
          establishedAt: new Date(WALL + 1000).toISOString(),
        },
      ],
    });
  });

  it("is JSON without loss", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    for (const type of [
      "status",
      "peer-list",
      "association-list",
      "identity-list",
      "counters",
      "version",
    ] as const) {
      const reply = bench.answer({ type }, traffic);
      expect(JSON.parse(JSON.stringify(reply))).toEqual(reply);
    }
  });
});

describe("associations", () => {
  it("are shown in detail", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    expect(bench.answer({ type: "association-show", peer: "bob" }, traffic)).toMatchObject({
      association: {
        name: "bob",
        role: "initiator",
        hipCipher: "AES-128-CBC",
        dhGroup: "P-256",
        inSpi: "0x00001111",
        outSpi: "0x00002222",
        exchangeMillis: 42,
        pathMtu: 1480,
        peerDomain: null,
      },
    });
    expect(bench.answer({ type: "association-list" })).toMatchObject({ associations: [{ name: "bob" }] });
  });

  it("are closed when asked, and say so when there is none", () => {
    const bench = new Bench().start();
    expect(bench.answer({ type: "association-close", peer: "bob" })).toMatchObject({ code: "not_found" });
    expect(bench.answer({ type: "association-show", peer: "bob" })).toMatchObject({ code: "not_found" });
    bench.establish(BOB);
    expect(bench.answer({ type: "association-close", peer: "bob" })).toEqual({
      type: "closing",
      name: "bob",
      was: "ESTABLISHED",
    });
    expect(bench.fake.asked("close")).toEqual([{ type: "close", peer: BOB }]);
  });
});

describe("connect", () => {
  const connect = { type: "connect", peer: "bob", timeoutMillis: 5000 } as const;

  it("answers when the association is usable", () => {
    const bench = new Bench().start();
    const id = bench.ask(connect);
    expect(bench.fake.asked("connect")).toHaveLength(1);
    expect(bench.replies(id)).toEqual([]);
    bench.now += 70;
    bench.establish(BOB);
    expect(bench.replies(id)).toMatchObject([
      { type: "connected", millis: 70, association: { name: "bob" } },
    ]);
    expect(bench.finished(id)).toBe(true);
  });

  it("answers at once when it is usable already", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    expect(bench.answer(connect)).toMatchObject({ type: "connected", millis: 0 });
    expect(bench.fake.asked("connect")).toEqual([]);
  });

  it("says why when it failed", () => {
    const bench = new Bench().start();
    const id = bench.ask(connect);
    bench.says({
      type: "event",
      name: "association-failed",
      local: SELF,
      peer: BOB,
      detail: { reason: "no_answer_to_i1" },
    });
    expect(bench.replies(id)).toEqual([
      { type: "error", code: "failed", message: 'no association with "bob": no_answer_to_i1' },
    ]);
    bench.establish(BOB);
    expect(bench.replies(id)).toHaveLength(1);
  });

  it("gives up after its time", () => {
    const bench = new Bench().start();
    const id = bench.ask(connect);
    expect(bench.overlay.deadline()?.at).toBe(bench.now + 5000);
    bench.now += 4999;
    bench.give({ type: "timeout" });
    expect(bench.replies(id)).toEqual([]);
    bench.now += 1;
    bench.give({ type: "timeout" });
    expect(bench.replies(id)).toMatchObject([{ type: "error", code: "timeout" }]);
    expect(bench.overlay.metrics().requestsWaiting).toBe(0);
  });

  it("says nothing more after it was cancelled", () => {
    const bench = new Bench().start();
    const id = bench.ask(connect);
    bench.give({ type: "cancel", id });
    bench.establish(BOB);
    expect(bench.replies(id)).toEqual([]);
    expect(bench.overlay.metrics().requestsWaiting).toBe(0);
  });

  it("fails when the peer is removed meanwhile", () => {
    const bench = new Bench().start();
    const id = bench.ask(connect);
    bench.ask({ type: "peer-remove", peer: "bob", keep: false });
    expect(bench.replies(id)).toMatchObject([{ type: "error", code: "failed" }]);
  });

  it("tries again at once although an earlier failure is still held", () => {
    const bench = new Bench().start();
    bench.fake.views.set(BOB, association(BOB, { state: "E-FAILED" }));
    bench.ask(connect);
    expect(bench.fake.inputs.slice(-2)).toEqual([
      { type: "forget", peer: BOB },
      { type: "connect", peer: BOB },
    ]);
  });

  it("is refused without a locator, and for a timeout out of range", () => {
    const bench = new Bench(overlayConfig({ peers: [peerConfig("bob", BOB, { locators: [] })] })).start();
    expect(bench.answer(connect)).toMatchObject({
      code: "failed",
      message: expect.stringContaining("locator") as string,
    });
    for (const timeoutMillis of [0, -1, Number.NaN, 1e9]) {
      expect(bench.answer({ ...connect, timeoutMillis })).toMatchObject({ code: "invalid" });
    }
  });

  it("is bounded: the 257th that waits is refused and counted", () => {
    const bench = new Bench().start();
    for (let i = 0; i < 256; i++) bench.ask(connect);
    expect(bench.answer(connect)).toMatchObject({
      code: "failed",
      message: expect.stringContaining("256") as string,
    });
    expect(bench.overlay.metrics()).toMatchObject({
      requestsWaiting: 256,
      overflows: { waiting_requests: 1 },
    });
  });
});

describe("ping", () => {
  const ping = {
    type: "ping",
    peer: "bob",
    count: 2,
    intervalMillis: 100,
    bytes: 56,
    timeoutMillis: 1000,
  } as const;

  it("begins with the exchange, then sends, counts and sums up", () => {
    const bench = new Bench().start();
    const id = bench.ask(ping);
    bench.establish(BOB);
    const [first] = only(bench.outputs, "ping");
    expect(first).toMatchObject({ localHit: SELF, peer: BOB, bytes: 56 });
    bench.give({ type: "echo-reply", peer: BOB, sequence: first?.sequence ?? -1, rttMicros: 1500 });
    bench.now += 100;
    bench.give({ type: "timeout" });
    const second = only(bench.outputs, "ping")[1];
    bench.give({ type: "echo-reply", peer: BOB, sequence: second?.sequence ?? -1, rttMicros: 2500 });
    expect(bench.replies(id)).toMatchObject([
      { type: "ping-start", name: "bob", exchangeMillis: 42 },
      { type: "ping-reply", sequence: 1, rttMillis: 1.5, bytes: 56, path: { remote: "192.0.2.10:10500" } },
      { type: "ping-reply", sequence: 2, rttMillis: 2.5 },
      { type: "ping-done", sent: 2, received: 2, minMillis: 1.5, meanMillis: 2, maxMillis: 2.5 },
    ]);
    expect(bench.finished(id)).toBe(true);
  });

  it("reports what is lost", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    const id = bench.ask({ ...ping, count: 1 });
    bench.now += 1000;
    bench.give({ type: "timeout" });
    expect(bench.replies(id)).toMatchObject([
      { type: "ping-start", exchangeMillis: null },
      { type: "ping-lost", sequence: 1 },
      { type: "ping-done", sent: 1, received: 0, minMillis: null },
    ]);
  });

  it("takes no reply of another peer, and none twice", () => {
    const bench = new Bench(
      overlayConfig({ peers: [peerConfig("bob", BOB), peerConfig("carol", CAROL)] }),
    ).start();
    bench.establish(BOB);
    const id = bench.ask(ping);
    const sequence = only(bench.outputs, "ping")[0]?.sequence ?? -1;
    bench.give({ type: "echo-reply", peer: CAROL, sequence, rttMicros: 1 });
    expect(bench.replies(id)).toHaveLength(1);
    for (let i = 0; i < 2; i++) bench.give({ type: "echo-reply", peer: BOB, sequence, rttMicros: 1 });
    expect(bench.replies(id)).toHaveLength(2);
  });

  it("without a count goes on until it is cancelled", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    const id = bench.ask({ ...ping, count: 0 });
    for (let i = 0; i < 5; i++) {
      bench.now += 100;
      bench.give({ type: "timeout" });
    }
    expect(only(bench.outputs, "ping")).toHaveLength(6);
    bench.give({ type: "cancel", id });
    bench.now += 5000;
    bench.give({ type: "timeout" });
    expect(only(bench.outputs, "ping")).toHaveLength(6);
    expect(bench.overlay.metrics().requestsWaiting).toBe(0);
  });

  it.each([
    { count: -1 },
    { count: 1.5 },
    { intervalMillis: 1 },
    { bytes: -1 },
    { bytes: 9000 },
    { timeoutMillis: 0 },
  ])("refuses %j", (changes) => {
    expect(new Bench().start().answer({ ...ping, ...changes })).toMatchObject({
      type: "error",
      code: "invalid",
    });
  });
});

describe("peers at run time", () => {
  it("are added: alias, route, LSI saved, shown", () => {
    const bench = new Bench().start();
    bench.outputs = [];
    const reply = bench.answer({ type: "peer-add", peer: carol, keep: false });
    expect(reply).toMatchObject({
      type: "peer",
      peer: { name: "carol", hit: CAROL_TEXT, source: "runtime" },
    });
    expect(only(bench.outputs, "alias", "route", "save", "event").map(({ type }) => type)).toEqual([
      "alias",
      "route",
      "event",
      "save",
    ]);
  });

  it("are kept only when the disk has them", () => {
    const bench = new Bench().start();
    const id = bench.ask({ type: "peer-add", peer: carol, keep: true });
    const [persist] = only(bench.outputs, "persist-peer");
    expect(persist?.peer).toMatchObject({ name: "carol", hit: CAROL, source: "peers.d" });
    expect(names(bench)).toEqual(["bob"]);
    bench.give({ type: "persisted", token: persist?.token ?? 0, result: ok("/etc/hipd/peers.d/carol.toml") });
    expect(bench.replies(id)).toMatchObject([
      { peer: { source: "peers.d", file: "/etc/hipd/peers.d/carol.toml" } },
    ]);
    expect(names(bench)).toEqual(["bob", "carol"]);
  });

  it("are not added when the disk is full", () => {
    const bench = new Bench().start();
    const id = bench.ask({ type: "peer-add", peer: carol, keep: true });
    bench.give({ type: "persisted", token: 1, result: err("no space left on device") });
    expect(bench.replies(id)).toEqual([
      { type: "error", code: "failed", message: 'peer "carol" was not added: no space left on device' },
    ]);
    expect(names(bench)).toEqual(["bob"]);
  });

  it.each([
    [{ name: "bob" }, "exists"],
    [{ hit: "2001:22:bbbb:bbbb:bbbb:bbbb:bbbb:bbbb" }, "exists"],
    [{ hit: "2001:22:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa" }, "invalid"],
    [{ hit: "2001:db8::1" }, "invalid"],
    [{ hit: undefined }, "invalid"],
    [{ identity: CAROL_TEXT }, "invalid"],
    [{ name: "Carol" }, "invalid"],
    [{ name: "10.0.0.1" }, "invalid"],
    [{ name: `${"a".repeat(64)}` }, "invalid"],
    [{ locators: [{ address: "example.org", port: 10500 }] }, "invalid"],
    [{ locators: [{ address: "192.0.2.1", port: 0 }] }, "invalid"],
    [{ locators: Array.from({ length: 17 }, () => ({ address: "192.0.2.1", port: 1 })) }, "invalid"],
  ])("are refused: %j", (changes, code) => {
    const bench = new Bench().start();
    expect(bench.answer({ type: "peer-add", peer: { ...carol, ...changes }, keep: false })).toMatchObject({
      code,
    });
    expect(names(bench)).toEqual(["bob"]);
  });

  it("are removed: association forgotten first, then route and alias", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    const lsi = bench.overlay.lsis.lsi(BOB);
    bench.outputs = [];
    bench.fake.answers.set("forget", () => [
      { type: "sa-drop", spi: 0x2222 as Spi, direction: "out", peer: BOB },
      { type: "route", peer: BOB, via: "demand" },
    ]);
    expect(bench.answer({ type: "peer-remove", peer: "bob", keep: false })).toEqual({
      type: "removed",
      name: "bob",
    });
    expect(only(bench.outputs, "sa-drop", "route", "alias").slice(-2)).toEqual([
      { type: "route", peer: BOB, via: "unknown" },
      { type: "alias", lsi, peer: undefined },
    ]);
    expect(bench.overlay.peers.find(BOB)).toBeUndefined();
    // Its LSI stays its own.
    expect(bench.overlay.lsis.lsi(BOB)).toBe(lsi);
  });

  it("of the configuration file are not removed for ever", () => {
    const bench = new Bench().start();
    expect(bench.answer({ type: "peer-remove", peer: "bob", keep: true })).toMatchObject({
      code: "denied",
      message: expect.stringContaining("/etc/hipd/hipd.toml") as string,
    });
    expect(names(bench)).toEqual(["bob"]);
  });

  it("of peers.d are removed when their file is", () => {
    const bench = new Bench(
      overlayConfig({ peers: [peerConfig("bob", BOB, { source: "peers.d", file: "b.toml" })] }),
    ).start();
    const id = bench.ask({ type: "peer-remove", peer: "bob", keep: true });
    const [unpersist] = only(bench.outputs, "unpersist-peer");
    expect(names(bench)).toEqual(["bob"]);
    bench.give({ type: "persisted", token: unpersist?.token ?? 0, result: ok("") });
    expect(bench.replies(id)).toEqual([{ type: "removed", name: "bob" }]);
    expect(names(bench)).toEqual([]);
  });

  it("are not kept beside a file that has them already", () => {
    const bench = new Bench().start();
    bench.answer({ type: "peer-remove", peer: "bob", keep: false });
    const bob = { ...carol, name: "bob", hit: "2001:22:bbbb:bbbb:bbbb:bbbb:bbbb:bbbb" };
    const exists = { code: "exists", message: expect.stringContaining("/etc/hipd/hipd.toml") as string };
    expect(bench.answer({ type: "peer-add", peer: bob, keep: true })).toMatchObject(exists);
    expect(bench.answer({ type: "peer-add", peer: { ...bob, name: "rob" }, keep: true })).toMatchObject(
      exists,
    );
    expect(bench.answer({ type: "peer-add", peer: bob, keep: false })).toMatchObject({ type: "peer" });
    // One that was kept, and then removed for now, is written anew.
    const id = bench.ask({ type: "peer-add", peer: carol, keep: true });
    bench.give({ type: "persisted", token: 1, result: ok("carol.toml") });
    bench.answer({ type: "peer-remove", peer: "carol", keep: false });
    expect(bench.answer({ type: "peer-add", peer: { ...carol, name: "caro" }, keep: true })).toMatchObject({
      code: "exists",
    });
    bench.ask({ type: "peer-add", peer: carol, keep: true });
    expect(only(bench.outputs, "persist-peer")).toHaveLength(2);
    expect(bench.finished(id)).toBe(true);
  });

  it("ignores an answer from the disk that nobody waits for", () => {
    const bench = new Bench().start();
    expect(bench.give({ type: "persisted", token: 99, result: ok("x") })).toEqual([]);
  });
});

describe("identities", () => {
  it("can be changed for all peers: those that saw the other one begin anew", () => {
    const peers = [peerConfig("bob", BOB), peerConfig("carol", CAROL, { localHit: SELF })];
    const bench = new Bench(overlayConfig({ peers })).start();
    const reply = bench.answer({ type: "identity-use", hit: SECOND_TEXT, peer: undefined });
    expect(reply).toMatchObject({
      identities: [
        { default: false, peers: ["carol"] },
        { default: true, peers: ["bob"] },
      ],
    });
    expect(bench.fake.asked("forget")).toEqual([{ type: "forget", peer: BOB }]);
    expect(bench.overlay.peers.find(BOB)?.localHit).toBe(SECOND_SELF);
    expect(only(bench.outputs, "route").at(-1)).toEqual({ type: "route", peer: BOB, via: "demand" });
    expect(only(bench.outputs, "identities")).toEqual([
      { type: "identities", all: [SELF, SECOND_SELF], preferred: SECOND_SELF },
    ]);
  });

  it("can be changed for one peer", () => {
    const bench = new Bench().start();
    bench.answer({ type: "identity-use", hit: SECOND_TEXT, peer: "bob" });
    expect(bench.overlay.peers.find(BOB)?.localHit).toBe(SECOND_SELF);
    expect(bench.fake.asked("forget")).toEqual([{ type: "forget", peer: BOB }]);
    expect(bench.answer({ type: "identity-list" })).toMatchObject({
      identities: [{ default: true }, { peers: ["bob"] }],
    });
  });

  it("must exist", () => {
    const bench = new Bench().start();
    expect(bench.answer({ type: "identity-use", hit: CAROL_TEXT, peer: undefined })).toMatchObject({
      code: "not_found",
    });
    expect(bench.answer({ type: "identity-use", hit: "x", peer: undefined })).toMatchObject({
      code: "invalid",
    });
    expect(bench.answer({ type: "identity-use", hit: SECOND_TEXT, peer: "dave" })).toMatchObject({
      code: "not_found",
    });
  });
});

describe("a new configuration", () => {
  const configure = (bench: Bench, changes: Parameters<typeof overlayConfig>[0]): ControlReply =>
    bench.answer({ type: "configure", config: overlayConfig(changes) });

  it("changes nothing when nothing differs", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    bench.outputs = [];
    expect(configure(bench, {})).toMatchObject({
      changes: { added: [], removed: [], changed: [], host: false },
    });
    expect(bench.fake.configured).toEqual([]);
    expect(only(bench.outputs, "route", "alias", "identities")).toEqual([]);
    expect(bench.fake.asked("forget")).toEqual([]);
  });

  it("adds, removes and changes peers, and leaves the others alone", () => {
    const other = peerConfig("carol", CAROL);
    const bench = new Bench(overlayConfig({ peers: [peerConfig("bob", BOB), other] })).start();
    bench.establish(CAROL);
    const moved = { ...other, locators: [{ address: "192.0.2.77", port: 10500 }] };
    const dave = peerConfig("dave", "20010022dddddddddddddddddddddddd" as typeof BOB);
    expect(configure(bench, { peers: [moved, dave] })).toMatchObject({
      changes: { added: ["dave"], removed: ["bob"], changed: ["carol"] },
    });
    expect(names(bench).toSorted()).toEqual(["carol", "dave"]);
    expect(bench.fake.asked("forget")).toEqual([{ type: "forget", peer: BOB }]);
    expect(bench.overlay.peers.find(CAROL)?.locators).toEqual(moved.locators);
    expect(bench.overlay.peers.at("udp", "192.0.2.10").map(({ config }) => config.name)).toEqual(["dave"]);
    expect(bench.overlay.peers.at("udp", "192.0.2.77").map(({ config }) => config.name)).toEqual(["carol"]);
  });

  it("makes an association begin anew when its carrier, identity or HIT changes", () => {
    for (const changes of [{ carrier: "none" }, { localHit: SECOND_SELF }, { hit: CAROL }] as const) {
      const bench = new Bench().start();
      bench.establish(BOB);
      configure(bench, { peers: [peerConfig("bob", "hit" in changes ? changes.hit : BOB, changes)] });
      expect(bench.fake.asked("forget")).toEqual([{ type: "forget", peer: BOB }]);
      // The SA that the route led to is gone.
      const hit = "hit" in changes ? changes.hit : BOB;
      expect(only(bench.outputs, "route").at(-1)).toEqual({ type: "route", peer: hit, via: "demand" });
    }
  });

  it("can give the HIT of one peer to another, and swap names", () => {
    const peers = [peerConfig("bob", BOB), peerConfig("carol", CAROL)];
    const bench = new Bench(overlayConfig({ peers })).start();
    configure(bench, { peers: [peerConfig("bob", CAROL), peerConfig("carol", BOB)] });
    expect(bench.overlay.peers.byHit(BOB)?.config.name).toBe("carol");
    expect(bench.overlay.peers.byHit(CAROL)?.config.name).toBe("bob");
  });

  it("keeps peers that were added at run time, unless a file has their name or HIT", () => {
    const bench = new Bench().start();
    bench.answer({ type: "peer-add", peer: carol, keep: false });
    expect(configure(bench, {})).toMatchObject({ changes: { removed: [] } });
    expect(names(bench)).toEqual(["bob", "carol"]);
    configure(bench, { peers: [peerConfig("bob", BOB), peerConfig("caroline", CAROL)] });
    expect(names(bench).toSorted()).toEqual(["bob", "caroline"]);
  });

  it("brings back a peer that was removed at run time", () => {
    const bench = new Bench().start();
    bench.answer({ type: "peer-remove", peer: "bob", keep: false });
    expect(configure(bench, {})).toMatchObject({ changes: { added: ["bob"] } });
  });

  it("hands new settings and identities to the protocol", () => {
    const bench = new Bench().start();
    const host = { ...DEFAULT_CONFIG, encryptHostId: false };
    expect(configure(bench, { host })).toMatchObject({ changes: { host: true, identities: false } });
    expect(configure(bench, { host, identities: [identityConfig(SELF)] })).toMatchObject({
      changes: { host: false, identities: true },
    });
    expect(bench.fake.configured).toEqual([`${SELF} ${SECOND_SELF}`, SELF]);
  });

  it("takes another start of the R1 counter for no change", () => {
    const bench = new Bench().start();
    expect(configure(bench, { host: { ...DEFAULT_CONFIG, r1CounterStart: 5n } })).toMatchObject({
      changes: { host: false },
    });
  });

  it.each([
    [{ port: 10501 }, "network.port"],
    [{ lsiPrefix: { bytes: Uint8Array.of(10, 0, 0, 0), length: 8 } }, "network.lsi_prefix"],
    [{ defaultIdentity: BOB }, "not among"],
    [{ peers: [peerConfig("bob", BOB), peerConfig("bob", CAROL)] }, "already"],
    [{ peers: [peerConfig("bob", BOB), peerConfig("rob", BOB)] }, "HIT"],
    [{ peers: [peerConfig("me", SELF)] }, "own peer"],
  ])("that is wrong changes nothing: %j", (changes, part) => {
    const bench = new Bench().start();
    bench.outputs = [];
    const reply = configure(bench, changes);
    expect(reply).toMatchObject({ type: "error", message: expect.stringContaining(part) as string });
    expect(names(bench)).toEqual(["bob"]);
    expect(bench.outputs).toHaveLength(1);
    expect(bench.overlay.config).toEqual(overlayConfig());
  });
});

describe("counters and version", () => {
  it("are flat numbers, the data plane's among them", () => {
    const bench = new Bench().start();
    bench.says({ type: "drop", reason: "mac" });
    expect(bench.answer({ type: "counters" })).toMatchObject({
      counters: { hip_drop_mac_total: 1, peers: 1, associations_established: 0, udp_packets_total: 7 },
    });
    expect(bench.answer({ type: "version" })).toEqual({ type: "version", version: "1.2.3" });
  });
});
