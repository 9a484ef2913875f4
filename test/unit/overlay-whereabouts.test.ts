/** Where we and our peers are: what the protocol is told, what is kept, and who is called after a start or a sleep. */
import { describe, expect, it } from "vitest";
import type { Endpoint, Hit, Instant, Spi } from "../../src/core/types.ts";
import { DEFAULT_LOCATORS } from "../../src/overlay/config.ts";
import { PacedCalls } from "../../src/overlay/pacing.ts";
import type { SavedState } from "../../src/overlay/state.ts";
import { RECONNECTS, SAVE_INTERVAL, WAKE_CALLS } from "../../src/overlay/whereabouts.ts";
import {
  association,
  Bench,
  BOB,
  CAROL,
  localAddress,
  only,
  overlayConfig,
  PATH,
  peerConfig,
  SELF,
} from "../support/overlay.ts";

const MOVED: Endpoint = { address: "198.51.100.7", port: 10500 };
const spi = 0x3333 as Spi;

/** The state as an earlier run left it, with these associations. */
function savedWith(associations: SavedState["associations"]): unknown {
  const state = only(new Bench().start().outputs, "save")[0]?.state;
  return JSON.parse(JSON.stringify({ ...state, associations }));
}

function latestSave(bench: Bench): SavedState | undefined {
  return only(bench.outputs, "save").at(-1)?.state;
}

function hits(count: number): readonly Hit[] {
  return Array.from({ length: count }, (_, i) => `20010022${i.toString(16).padStart(24, "0")}` as Hit);
}

function closed(bench: Bench, peer: Hit): void {
  bench.says({ type: "event", name: "association-closed", local: SELF, peer, detail: {} });
}

describe("the protocol is told where we are", () => {
  it("when addresses come and go, and only then", () => {
    const bench = new Bench().start();
    expect(bench.fake.asked("locators")).toEqual([]);
    bench.give({ type: "addresses", local: [localAddress("192.0.2.1")] });
    bench.give({ type: "addresses", local: [localAddress("192.0.2.1")] });
    bench.give({ type: "addresses", local: [localAddress("192.0.2.2"), localAddress("127.0.0.1")] });
    expect(bench.fake.asked("locators")).toMatchObject([
      { own: [{ address: "192.0.2.1", port: 10500, kind: "host", local: true }] },
      { own: [{ address: "192.0.2.2" }] },
    ]);
  });

  it("when a peer tells as whom it sees us, and when that peer leaves", () => {
    const bench = new Bench().start();
    bench.give({ type: "addresses", local: [localAddress("10.0.0.5")] });
    const mapped = { address: "203.0.113.7", port: 4000 };
    bench.says({ type: "seen-as", peer: BOB, local: { address: "10.0.0.5", port: 10500 }, mapped });
    expect(bench.fake.asked("locators").at(-1)).toMatchObject({
      own: [{ address: "10.0.0.5" }, { ...mapped, kind: "reflexive", local: false }],
    });
    closed(bench, BOB);
    expect(bench.fake.asked("locators").at(-1)).toMatchObject({ own: [{ address: "10.0.0.5" }] });
  });

  it("when the configuration changes", () => {
    const bench = new Bench().start();
    bench.give({ type: "addresses", local: [localAddress("10.0.0.5")] });
    const locators = { ...DEFAULT_LOCATORS, advertise: [{ address: "203.0.113.5", port: 0 }] };
    expect(bench.answer({ type: "configure", config: overlayConfig({ locators }) })).toMatchObject({
      type: "configured",
      changes: { locators: true, host: false },
    });
    expect(bench.fake.asked("locators").at(-1)).toMatchObject({
      own: [{ address: "203.0.113.5", port: 10500, kind: "static" }, { address: "10.0.0.5" }],
    });
  });
});

describe("associations outlive the daemon", () => {
  it("keeps every peer with an association and where it was last", () => {
    const bench = new Bench().start();
    bench.fake.last.set(BOB, [MOVED]);
    bench.now += SAVE_INTERVAL * 2;
    bench.establish(BOB);
    expect(latestSave(bench)?.associations).toEqual([[BOB, [[MOVED.address, MOVED.port]]]]);
    bench.now += SAVE_INTERVAL * 2;
    closed(bench, BOB);
    expect(latestSave(bench)?.associations).toEqual([]);
  });

  it("writes at a bounded rate, and the last change always", () => {
    const bench = new Bench().start();
    bench.now += SAVE_INTERVAL * 2;
    bench.establish(BOB);
    const before = only(bench.outputs, "save").length;
    for (let i = 1; i <= 20; i++) {
      bench.now += 10;
      bench.fake.last.set(BOB, [{ address: `198.51.100.${i}`, port: 10500 }]);
      bench.says({ type: "paths", peer: BOB });
    }
    expect(only(bench.outputs, "save")).toHaveLength(before);
    bench.now = bench.overlay.deadline()?.at ?? 0;
    bench.give({ type: "timeout" });
    expect(only(bench.outputs, "save")).toHaveLength(before + 1);
    expect(latestSave(bench)?.associations).toEqual([[BOB, [["198.51.100.20", 10500]]]]);
  });

  it("keeps what ended because nobody answered, not what somebody ended", () => {
    const ends = (reason: string): unknown => {
      const bench = new Bench().start();
      bench.establish(BOB);
      bench.now += SAVE_INTERVAL * 2;
      bench.says({ type: "event", name: "association-closed", local: SELF, peer: BOB, detail: { reason } });
      bench.now += SAVE_INTERVAL * 2;
      bench.give({ type: "timeout" });
      return latestSave(bench)?.associations.map(([hit]) => hit);
    };
    for (const reason of ["unreachable", "no_answer_to_update"]) expect(ends(reason)).toEqual([BOB]);
    for (const reason of ["asked", "unused", "close"]) expect(ends(reason)).toEqual([]);
  });

  it.each([
    ["unreachable", 1],
    ["no_answer_to_update", 1],
    ["forgotten", 0],
    ["asked", 0],
    ["close", 0],
  ])("calls a peer again whose association ended so: %s", (reason, calls) => {
    const bench = new Bench().start();
    bench.establish(BOB);
    const before = bench.fake.asked("connect").length;
    bench.says({ type: "event", name: "association-closed", local: SELF, peer: BOB, detail: { reason } });
    // The CLOSE goes first.
    bench.give({ type: "timeout" });
    expect(bench.fake.asked("connect")).toHaveLength(before);
    bench.now += 1_000;
    bench.give({ type: "timeout" });
    expect(bench.fake.asked("connect")).toHaveLength(before + calls);
    bench.now += 60_000;
    bench.give({ type: "timeout" });
    expect(bench.fake.asked("connect")).toHaveLength(before + calls);
  });

  it("keeps what ends only because we stop", () => {
    const bench = new Bench().start();
    bench.establish(BOB);
    bench.give({ type: "shutdown" });
    bench.now += SAVE_INTERVAL * 2;
    closed(bench, BOB);
    bench.give({ type: "timeout" });
    expect(latestSave(bench)?.associations).toEqual([[BOB, []]]);
  });

  it("calls every former peer at the start, configured addresses first", () => {
    const bench = new Bench(overlayConfig(), savedWith([[BOB, [[MOVED.address, MOVED.port]]]])).start();
    expect(bench.fake.asked("connect")).toEqual([{ type: "connect", peer: BOB }]);
    expect(bench.overlay.peers.find(BOB)?.locators).toEqual([{ address: "192.0.2.10", port: 10500 }, MOVED]);
  });

  it("tries an address once that is configured and was the last one, too", () => {
    const last: SavedState["associations"] = [
      [
        BOB,
        [
          [MOVED.address, MOVED.port],
          ["192.0.2.10", 10500],
          ["192.0.2.11", 0],
        ],
      ],
    ];
    const bench = new Bench(overlayConfig(), savedWith(last)).start();
    expect(bench.overlay.peers.find(BOB)?.locators).toEqual([{ address: "192.0.2.10", port: 10500 }, MOVED]);
  });

  it("calls a peer of which no address is configured where it was last", () => {
    const config = overlayConfig({ peers: [peerConfig("bob", BOB, { locators: [] })] });
    const bench = new Bench(config, savedWith([[BOB, [[MOVED.address, MOVED.port]]]])).start();
    expect(only(bench.outputs, "route")).toEqual([{ type: "route", peer: BOB, via: "demand" }]);
    bench.give({ type: "miss", peer: BOB });
    expect(bench.fake.asked("connect")).toHaveLength(2);
  });

  it("forgets peers that are configured no more, and calls a failed one again at the next start", () => {
    const bench = new Bench(
      overlayConfig(),
      savedWith([
        [CAROL, []],
        [BOB, []],
      ]),
    ).start();
    expect(bench.fake.asked("connect")).toEqual([{ type: "connect", peer: BOB }]);
    bench.says({ type: "event", name: "association-failed", local: SELF, peer: BOB, detail: {} });
    bench.now += SAVE_INTERVAL * 2;
    bench.fake.last.set(BOB, [MOVED]);
    bench.says({ type: "paths", peer: BOB });
    expect(latestSave(bench)?.associations.map(([hit]) => hit)).toEqual([BOB]);
  });

  it("calls again who did not answer when the network has come up", () => {
    const bench = new Bench(overlayConfig(), savedWith([[BOB, []]])).start();
    const calls = () => bench.fake.asked("connect").length;
    bench.fake.views.set(BOB, association(BOB, { state: "E-FAILED" }));
    bench.says({ type: "event", name: "association-failed", local: SELF, peer: BOB, detail: {} });
    bench.give({ type: "addresses", local: [] });
    expect(calls()).toBe(1);
    bench.give({ type: "addresses", local: [localAddress("192.0.2.1")] });
    expect(calls()).toBe(2);
    expect(bench.fake.asked("forget")).toHaveLength(1);
    bench.give({ type: "addresses", local: [localAddress("192.0.2.2")] });
    expect(calls()).toBe(2);
    // One that answered meanwhile is not called.
    bench.says({ type: "event", name: "association-failed", local: SELF, peer: BOB, detail: {} });
    bench.establish(BOB);
    bench.give({ type: "addresses", local: [localAddress("192.0.2.3")] });
    expect(calls()).toBe(2);
  });

  it("calls a bounded number at once, and the next when one answered or took too long", () => {
    const all = hits(RECONNECTS.atOnce + 3);
    const peers = all.map((hit, i) =>
      peerConfig(`p${i}`, hit, { locators: [{ address: "192.0.2.1", port: 1 }] }),
    );
    const bench = new Bench(overlayConfig({ peers }), savedWith(all.map((hit) => [hit, []]))).start();
    expect(bench.fake.asked("connect")).toHaveLength(RECONNECTS.atOnce);
    bench.establish(all[0] as Hit);
    bench.says({ type: "event", name: "association-failed", local: SELF, peer: all[1] as Hit, detail: {} });
    expect(bench.fake.asked("connect")).toHaveLength(RECONNECTS.atOnce + 2);
    bench.now += RECONNECTS.patience;
    bench.give({ type: "timeout" });
    expect(bench.fake.asked("connect").map((input) => "peer" in input && input.peer)).toEqual(all);
  });

  it.each([
    [[7]],
    [[["xyz", []]]],
    [[[BOB, "192.0.2.1"]]],
    [{}],
    [null],
    [[[BOB, [["not an address", 1], ["192.0.2.1", 70_000], ["192.0.2.1"], [MOVED.address, 10500]]]]],
  ])("takes no harm from a damaged list: %j", (associations) => {
    const bench = new Bench(overlayConfig(), savedWith(associations as SavedState["associations"])).start();
    const locators = bench.overlay.peers.find(BOB)?.locators ?? [];
    expect(locators.length).toBeLessThanOrEqual(2);
    for (const { address } of locators) expect(["192.0.2.10", MOVED.address]).toContain(address);
  });
});

describe("calls at a pace", () => {
  const at = (millis: number) => millis as Instant;
  it("go on when one is answered, and when one was patient enough", () => {
    const called: Hit[] = [];
    const calls = new PacedCalls("test", { atOnce: 2, patience: 100 }, (peer) => called.push(peer));
    const all = hits(5) as readonly [Hit, Hit, Hit, Hit, Hit];
    calls.add(all, at(0));
    expect(called).toEqual(all.slice(0, 2));
    calls.done(all[1], at(10));
    expect(called).toEqual(all.slice(0, 3));
    // Not yet called: never called.
    calls.done(all[4], at(20));
    expect(calls.deadline()?.at).toBe(100);
    calls.tick(at(99));
    expect(called).toHaveLength(3);
    calls.tick(at(100));
    expect(called).toEqual(all.slice(0, 4));
    expect(calls.deadline()).toBeUndefined();
    expect(calls.waiting).toBe(0);
  });
});

describe("ESP that we cannot open", () => {
  const from = (remote: Endpoint) => ({ type: "unknown-spi", spi, path: { ...PATH, remote } }) as const;

  it("makes us call a peer that was last where it comes from", () => {
    const bench = new Bench(overlayConfig(), savedWith([[BOB, [[MOVED.address, MOVED.port]]]])).start();
    expect(bench.fake.asked("connect")).toHaveLength(1);
    bench.give(from({ address: "198.51.100.99", port: 1 }));
    expect(bench.fake.asked("connect")).toHaveLength(1);
    bench.give(from(MOVED));
    bench.give(from(MOVED));
    expect(bench.fake.asked("connect")).toHaveLength(2);
    bench.now += 1000;
    bench.give(from(MOVED));
    expect(bench.fake.asked("connect")).toHaveLength(3);
  });
});

describe("ESP of a peer that we had given up", () => {
  it("makes us call it at once, and one that is being called is left alone", () => {
    const bench = new Bench().start();
    const hint = { type: "unknown-spi", spi, path: PATH } as const;
    bench.fake.views.set(BOB, association(BOB, { state: "I1-SENT" }));
    bench.give(hint);
    expect(bench.fake.asked("connect")).toEqual([]);
    bench.fake.views.set(BOB, association(BOB, { state: "E-FAILED" }));
    bench.give(hint);
    expect(bench.fake.asked("forget")).toEqual([{ type: "forget", peer: BOB }]);
    expect(bench.fake.asked("connect")).toEqual([{ type: "connect", peer: BOB }]);
  });
});

describe("a sleep of the whole machine", () => {
  const two = () => {
    const bench = new Bench(
      overlayConfig({ peers: [peerConfig("bob", BOB), peerConfig("carol", CAROL)] }),
    ).start();
    bench.establish(BOB);
    return bench;
  };

  it("makes us ask at once who is still there", () => {
    const bench = two();
    const due = bench.overlay.deadline()?.at ?? 0;
    bench.now = due + 4_000;
    bench.give({ type: "timeout" });
    expect(bench.fake.asked("probe")).toEqual([]);
    bench.now = (bench.overlay.deadline()?.at ?? 0) + 60_000;
    bench.give({ type: "addresses", local: [] });
    expect(bench.fake.asked("probe")).toEqual([{ type: "probe", peer: BOB }]);
    expect(only(bench.outputs, "event").map(({ event }) => [event.name, event.detail])).toContainEqual([
      "resumed",
      { millis: 60_000, peers: 1 },
    ]);
  });

  it("is not one when the wall clock was set", () => {
    const bench = two();
    for (const step of [-3_600_000, 86_400_000]) {
      bench.overlay.handle({ type: "timeout" }, (bench.now + 10) as never, 1e12 + step);
    }
    expect(bench.fake.asked("probe")).toEqual([]);
  });

  it("asks a bounded number at once", () => {
    const all = hits(WAKE_CALLS.atOnce + 5);
    const peers = all.map((hit, i) => peerConfig(`p${i}`, hit));
    const bench = new Bench(overlayConfig({ peers })).start();
    for (const hit of all) bench.establish(hit);
    bench.now = (bench.overlay.deadline()?.at ?? 0) + 10_000;
    bench.give({ type: "timeout" });
    expect(bench.fake.asked("probe")).toHaveLength(WAKE_CALLS.atOnce);
    bench.now += WAKE_CALLS.patience;
    bench.give({ type: "timeout" });
    expect(bench.fake.asked("probe")).toHaveLength(all.length);
  });
});
