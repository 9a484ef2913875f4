/** The overlay between data plane and protocol: policy, aliases, routes, errors, hints. */
import { describe, expect, it } from "vitest";
import { type Hit, NULL_HIT, type Spi } from "../../src/core/types.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { Overlay } from "../../src/overlay/overlay.ts";
import { PeerTable } from "../../src/overlay/peers.ts";
import { Bench, BOB, CAROL, only, overlayConfig, PATH, peerConfig, SELF, WALL } from "../support/overlay.ts";
import { SeededRandom } from "../support/random.ts";

const spi = 0x2222 as Spi;

describe("at start", () => {
  it("gives each configured peer an alias and a route on demand, and saves the LSIs", () => {
    const bench = new Bench(
      overlayConfig({ peers: [peerConfig("bob", BOB), peerConfig("carol", CAROL)] }),
    ).start();
    expect(only(bench.outputs, "alias").map(({ peer }) => peer)).toEqual([BOB, CAROL]);
    expect(only(bench.outputs, "route")).toEqual([
      { type: "route", peer: BOB, via: "demand" },
      { type: "route", peer: CAROL, via: "demand" },
    ]);
    const saved = only(bench.outputs, "save");
    expect(saved).toHaveLength(1);
    expect(saved[0]?.state).toMatchObject({
      version: 1,
      lsiPrefix: "198.18.0.0/15",
      ownLsi: bench.overlay.ownLsi,
    });
    expect(saved[0]?.state.lsis.map(([hit]) => hit)).toEqual([BOB, CAROL]);
  });

  it("wakes the protocol, which then makes its first R1s", () => {
    expect(new Bench().start().fake.asked("timeout")).toHaveLength(1);
  });

  it("keeps the LSIs of an earlier run and saves nothing new", () => {
    const before = new Bench().start();
    const saved = JSON.parse(JSON.stringify(only(before.outputs, "save")[0]?.state)) as unknown;
    const again = new Bench(overlayConfig(), saved).start();
    expect(only(again.outputs, "alias")).toEqual(only(before.outputs, "alias"));
    expect(only(again.outputs, "save")).toEqual([]);
  });

  it.each([undefined, null, 7, "text", [], { version: 2 }, { version: 1, lsiPrefix: 3, ownLsi: "x" }])(
    "ignores saved state that is none: %j",
    (saved) => {
      expect(only(new Bench(overlayConfig(), saved).start().outputs, "alias")).toHaveLength(1);
    },
  );

  it("refuses a configuration that contradicts itself", () => {
    const create = (changes: Parameters<typeof overlayConfig>[0]): string => {
      const facts = { version: "1", interface: "hip0" };
      const made = Overlay.create({
        config: overlayConfig(changes),
        facts,
        saved: undefined,
        random: new SeededRandom(1),
      });
      return made.ok ? "" : made.error;
    };
    expect(create({ defaultIdentity: BOB })).toContain("not among the host's identities");
    expect(create({ peers: [peerConfig("me", SELF)] })).toContain("cannot be its own peer");
    const two = [peerConfig("bob", BOB), peerConfig("carol", CAROL)];
    expect(create({ peers: two, lsiPrefix: { bytes: Uint8Array.of(10, 0, 0, 0), length: 30 } })).toContain(
      "network.lsi_prefix",
    );
  });
});

describe("a local packet without an SA", () => {
  it("starts an exchange with a configured peer", () => {
    const bench = new Bench().start();
    bench.give({ type: "miss", peer: BOB });
    expect(bench.fake.asked("connect")).toEqual([{ type: "connect", peer: BOB }]);
  });

  it("is refused and counted for anybody else", () => {
    const bench = new Bench().start();
    const out = bench.give({ type: "miss", peer: CAROL });
    expect(out).toEqual([
      { type: "drop", reason: "peer_unknown" },
      { type: "route", peer: CAROL, via: "unknown" },
    ]);
    expect(bench.fake.asked("connect")).toEqual([]);
    expect(bench.overlay.metrics().drops).toEqual({ peer_unknown: 1 });
  });

  it("is refused at once for a peer that nobody can call", () => {
    const bench = new Bench(overlayConfig({ peers: [peerConfig("bob", BOB, { locators: [] })] })).start();
    expect(only(bench.outputs, "route")).toEqual([{ type: "route", peer: BOB, via: "reject" }]);
    // After an association that the peer had begun.
    bench.establish(BOB);
    expect(only(bench.says({ type: "route", peer: BOB, via: "demand" }), "route")).toEqual([
      { type: "route", peer: BOB, via: "reject" },
    ]);
  });
});

describe("what the protocol says", () => {
  it("goes on to the data plane", () => {
    const bench = new Bench().start();
    const out = bench.says(
      { type: "send", path: PATH, bytes: Uint8Array.of(1) },
      { type: "sa-drop", spi, direction: "out", peer: BOB },
      { type: "route", peer: BOB, via: spi },
    );
    expect(out.map(({ type }) => type)).toEqual(["send", "sa-drop", "route"]);
  });

  it("gives no route for a peer that is not configured any more", () => {
    const bench = new Bench().start();
    expect(bench.says({ type: "route", peer: CAROL, via: "demand" })).toEqual([]);
  });

  it("becomes numbered events with names and times", () => {
    const bench = new Bench().start();
    const event = {
      type: "event",
      name: "notify-received",
      local: SELF,
      peer: BOB,
      detail: { type: 26 },
    } as const;
    const [first] = only(bench.says(event), "event");
    bench.now += 5;
    const [second] = only(bench.says({ ...event, peer: CAROL }), "event");
    expect(first?.event).toEqual({
      number: 1,
      time: new Date(WALL + 1000).toISOString(),
      name: "notify-received",
      peer: "bob",
      hit: "2001:22:bbbb:bbbb:bbbb:bbbb:bbbb:bbbb",
      detail: { type: 26 },
    });
    expect(second?.event).toMatchObject({
      number: 2,
      peer: null,
      hit: "2001:22:cccc:cccc:cccc:cccc:cccc:cccc",
    });
  });

  it("is kept as the peer's last error when it failed", () => {
    const bench = new Bench().start();
    bench.says(
      {
        type: "event",
        name: "association-failed",
        local: SELF,
        peer: BOB,
        detail: { reason: "no_answer_to_i1" },
      },
      { type: "route", peer: BOB, via: "reject" },
    );
    bench.now += 60_000;
    const reply = bench.answer({ type: "peer-show", peer: "bob" });
    expect(reply).toMatchObject({
      peer: { lastError: "no_answer_to_i1", lastErrorAt: new Date(WALL + 1000).toISOString() },
    });
  });

  it("is counted: completed and failed exchanges, their times, drops, events", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    bench.says({ type: "drop", reason: "mac" }, { type: "drop", reason: "mac" });
    bench.says({
      type: "event",
      name: "association-failed",
      local: SELF,
      peer: CAROL,
      detail: { reason: "x" },
    });
    const metrics = bench.overlay.metrics();
    expect(metrics.exchangesCompleted).toEqual({ initiator: 1, responder: 0 });
    expect(metrics.exchangesFailed).toEqual({ initiator: 1, responder: 0 });
    // 42 ms: above the bound of 20 ms, below that of 50 ms.
    expect(metrics.exchangeSeconds.counts[metrics.exchangeSeconds.bounds.indexOf(0.05)]).toBe(1);
    expect(metrics.exchangeSeconds).toMatchObject({ count: 1, sum: 0.042 });
    expect(metrics.drops).toEqual({ mac: 2 });
    expect(metrics.associationsByState["ESTABLISHED"]).toBe(1);
    expect(metrics).toMatchObject({
      puzzleDifficulty: 4,
      jobsInFlight: 2,
      r1Generations: 3,
      peers: 1,
      lsiEntries: 1,
    });
  });
});

describe("opportunistic mode", () => {
  const config = overlayConfig({
    host: { ...DEFAULT_CONFIG, opportunistic: true },
    peers: [peerConfig("stranger", undefined)],
  });
  const at = { address: "192.0.2.10", port: 10500 };

  it("gives a peer the HIT that answered at its locator, once", () => {
    const bench = new Bench(config).start();
    expect(only(bench.outputs, "alias")).toEqual([]);
    expect(bench.overlay.peers.discovered(BOB, SELF, "udp", at)).toBe(true);
    const out = bench.give({ type: "timeout" });
    expect(only(out, "alias", "route").map(({ peer }) => peer)).toEqual([BOB, BOB]);
    expect(only(out, "save")[0]?.state.discovered).toEqual([["stranger", BOB]]);
    expect(bench.overlay.peers.discovered(CAROL, SELF, "udp", at)).toBe(false);
    expect(bench.overlay.peers.find(BOB)).toMatchObject({ hit: BOB, localHit: SELF });
  });

  it("believes nobody elsewhere, and nobody at all when it is off", () => {
    const bench = new Bench(config).start();
    expect(bench.overlay.peers.discovered(BOB, SELF, "udp", { address: "192.0.2.11", port: 10500 })).toBe(
      false,
    );
    expect(bench.overlay.peers.discovered(BOB, SELF, "none", at)).toBe(false);
    expect(bench.overlay.peers.discovered(SELF, SELF, "udp", at)).toBe(false);
    expect(new Bench().start().overlay.peers.discovered(CAROL, SELF, "udp", at)).toBe(false);
  });

  it("saves the HIT that was found although its LSI was known", () => {
    const known = new Bench().start();
    const state = only(known.outputs, "save")[0]?.state;
    const bench = new Bench(config, JSON.parse(JSON.stringify(state))).start();
    bench.overlay.peers.discovered(BOB, SELF, "udp", at);
    expect(only(bench.give({ type: "timeout" }), "save")[0]?.state.discovered).toEqual([["stranger", BOB]]);
  });

  it("has no say in a table where it is off", () => {
    const table = new PeerTable([SELF], SELF, false, () => true);
    table.add(peerConfig("stranger", undefined));
    expect(table.discovered(BOB, SELF, "udp", at)).toBe(false);
  });

  it("remembers the HIT over a restart", () => {
    const bench = new Bench(config).start();
    bench.overlay.peers.discovered(BOB, SELF, "udp", at);
    const state = only(bench.give({ type: "timeout" }), "save")[0]?.state;
    const again = new Bench(config, JSON.parse(JSON.stringify(state))).start();
    expect(only(again.outputs, "alias").map(({ peer }) => peer)).toEqual([BOB]);
  });

  it("connects to the locator, and tells who waits when nobody answers", () => {
    const bench = new Bench(config).start();
    const id = bench.ask({ type: "connect", peer: "stranger", timeoutMillis: 5000 });
    expect(bench.fake.asked("connect-opportunistic")).toEqual([
      { type: "connect-opportunistic", localHit: SELF, carrier: "udp", remote: at },
    ]);
    bench.says({
      type: "event",
      name: "association-failed",
      local: SELF,
      peer: NULL_HIT,
      detail: { reason: "no answer" },
    });
    expect(bench.replies(id)).toMatchObject([{ type: "error", code: "failed" }]);
  });
});

describe("hints from the data plane", () => {
  const unknown = { type: "unknown-spi", spi, path: PATH } as const;

  it("call a peer that sends under an SA that we lost, once a second at most", () => {
    const bench = new Bench().start();
    bench.give(unknown);
    bench.now += 999;
    bench.give(unknown);
    expect(bench.fake.asked("connect")).toEqual([{ type: "connect", peer: BOB }]);
    bench.now += 1;
    bench.give(unknown);
    expect(bench.fake.asked("connect")).toHaveLength(2);
  });

  it("mean nothing while there is an association, or from an address where no peer is", () => {
    const bench = new Bench().start();
    bench.give({ ...unknown, path: { ...PATH, remote: { address: "192.0.2.99", port: 10500 } } });
    bench.give({ ...unknown, path: { ...PATH, carrier: "none" } });
    bench.establish(BOB);
    bench.give(unknown);
    expect(bench.fake.asked("connect")).toEqual([]);
  });

  it("become inputs of the protocol: moved, first-inbound, soft-expiry, idle", () => {
    const bench = new Bench().start();
    bench.give({ type: "moved", spi, path: PATH });
    bench.give({ type: "esp", spi, event: "idle" });
    expect(bench.fake.asked("moved")).toEqual([{ type: "moved", spi, path: PATH }]);
    expect(bench.fake.asked("esp")).toEqual([{ type: "esp", spi, event: "idle" }]);
  });
});

describe("a peer that falls silent", () => {
  const counted = (txPackets: number, rxPackets: number, peer: Hit = BOB) => [
    { peer, txPackets, rxPackets, txBytes: 0, rxBytes: 0, pathMtu: 1500 },
  ];

  it("is probed along the path in use; without an answer the protocol hears that the path is dead", () => {
    const bench = new Bench().start();
    const path = { path: PATH, verified: true, rttMillis: 3, heardAt: undefined };
    bench.fake.pathsOf.set(BOB, [{ ...path, current: true }]);
    bench.establish(BOB);
    bench.says({ type: "paths", peer: BOB });
    bench.now += 5_000;
    bench.give({ type: "timeout" });
    const probes = only(bench.give({ type: "silent", peer: BOB, millis: 500 }), "probe");
    const small = probes.find(({ bytes }) => bytes === 128);
    expect(small?.path).toEqual(PATH);
    const reply = {
      type: "probe-reply",
      peer: BOB,
      token: small?.token ?? 0,
      rttMicros: 2000,
      bytes: 128,
    } as const;
    bench.give(reply);
    expect(bench.fake.asked("path-rtt")).toMatchObject([{ peer: BOB, path: PATH, millis: 2 }]);
    bench.give({ type: "silent", peer: BOB, millis: 500 });
    for (let i = 0; i < 4; i++) {
      bench.now += 100;
      bench.give({ type: "timeout" });
    }
    expect(bench.fake.asked("path-down")).toEqual([{ type: "path-down", peer: BOB, path: PATH }]);
    expect(bench.overlay.metrics().events["path-dead"]).toBe(1);
  });

  it("is told to the protocol when packets went there, and looked at every ten seconds", () => {
    const bench = new Bench().start();
    expect(bench.overlay.deadline()).toBeUndefined();
    bench.establish(BOB);
    const looks = bench.now + 10_000;
    bench.now += 2_000;
    expect(only(bench.give({ type: "timeout" }), "save")).toHaveLength(1);
    expect(bench.overlay.deadline()?.at).toBe(looks);
    for (const traffic of [counted(5, 5), counted(9, 5), counted(9, 5), counted(12, 6)]) {
      bench.now = bench.overlay.deadline()?.at ?? 0;
      expect(only(bench.give({ type: "timeout" }), "poll")).toHaveLength(1);
      bench.give({ type: "traffic", traffic });
    }
    expect(bench.fake.asked("sent")).toEqual(Array(3).fill({ type: "sent", peers: [BOB] }));
  });

  it("is not looked for while nobody is connected", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    bench.now += 10_000;
    bench.give({ type: "timeout" });
    bench.says({ type: "route", peer: BOB, via: "demand" });
    bench.give({ type: "traffic", traffic: counted(9, 0) });
    expect(bench.overlay.deadline()).toBeUndefined();
  });
});

describe("shutdown", () => {
  it("closes every association and waits for those that still speak", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    bench.give({ type: "shutdown" });
    expect(bench.fake.asked("close")).toEqual([{ type: "close", peer: BOB }]);
    expect(bench.overlay.closing).toBe(true);
    bench.fake.views.clear();
    expect(bench.overlay.closing).toBe(false);
  });
});
