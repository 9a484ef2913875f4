/** What is measured of single peers: up, unreachable, round trip, loss, bytes. */
import { describe, expect, test } from "vitest";
import type { Instant } from "../../src/core/types.ts";
import type { HostEvent, PathDetails } from "../../src/hip/io.ts";
import type { PeerSample } from "../../src/overlay/peer-metrics.ts";
import { Bench, BOB, CAROL, overlayConfig, PATH, peerConfig, SELF } from "../support/overlay.ts";

const PEERS = overlayConfig({ peers: [peerConfig("bob", BOB), peerConfig("carol", CAROL)] });

function told(name: HostEvent["name"], detail: HostEvent["detail"] = {}): HostEvent {
  return { type: "event", name, local: SELF, peer: BOB, detail };
}

function bob(bench: Bench): PeerSample | undefined {
  return bench.overlay.peerSamples([], 1)[0];
}

function path(changes: Partial<PathDetails> = {}): PathDetails {
  return {
    path: PATH,
    current: true,
    verified: true,
    rttMillis: 7,
    heardAt: 1000 as Instant,
    ...changes,
  };
}

describe("a peer", () => {
  test("is up while there is an association, and nothing is said against one that nobody called", () => {
    const bench = new Bench(PEERS).start();
    expect(bob(bench)).toMatchObject({ name: "bob", up: false, unreachable: false, rttMillis: undefined });
    bench.fake.pathsOf.set(BOB, [path()]);
    bench.establish(BOB);
    expect(bob(bench)).toMatchObject({ up: true, unreachable: false, rttMillis: 7 });
    expect(bench.overlay.metrics()).toMatchObject({ peers: 2, peersUp: 1, peersUnreachable: 0 });
  });

  test("is unreachable from a failed call on until it answers", () => {
    const bench = new Bench(PEERS).start();
    bench.says(
      { type: "route", peer: BOB, via: "reject" },
      told("association-failed", { reason: "no_answer_to_i1" }),
    );
    bench.says({ type: "route", peer: BOB, via: "demand" });
    expect(bob(bench)).toMatchObject({ up: false, unreachable: true });
    expect(bench.overlay.metrics()).toMatchObject({ peersUp: 0, peersUnreachable: 1 });
    bench.establish(BOB);
    expect(bob(bench)).toMatchObject({ up: true, unreachable: false });
  });

  test.each([
    ["unreachable", true],
    ["no_answer_to_update", true],
    ["unused", false],
    ["close", false],
  ])('that was lost with "%s" is unreachable: %s', (reason, unreachable) => {
    const bench = new Bench(PEERS).start();
    bench.establish(BOB);
    bench.says({ type: "route", peer: BOB, via: "demand" }, told("association-closed", { by: "us", reason }));
    expect(bob(bench)).toMatchObject({ up: false, unreachable });
  });

  test("is unreachable while the path in use is dead, and not while a new one is checked", () => {
    const bench = new Bench(PEERS).start();
    bench.establish(BOB);
    bench.fake.pathsOf.set(BOB, [path({ verified: false })]);
    expect(bob(bench)?.unreachable).toBe(true);
    expect(bench.overlay.metrics().peersUnreachable).toBe(1);
    bench.fake.pathsOf.set(BOB, [path({ verified: false, heardAt: undefined })]);
    expect(bob(bench)?.unreachable).toBe(false);
  });

  test("has its traffic, and there are no more samples than wanted", () => {
    const bench = new Bench(PEERS).start();
    const traffic = [{ peer: CAROL, txPackets: 1, txBytes: 10, rxPackets: 2, rxBytes: 20, pathMtu: 1500 }];
    const samples = bench.overlay.peerSamples(traffic, 10);
    expect(samples.map(({ name, txBytes, rxBytes, pathMtu }) => [name, txBytes, rxBytes, pathMtu])).toEqual([
      ["bob", undefined, undefined, undefined],
      ["carol", 10, 20, 1500],
    ]);
    expect(bench.overlay.peerSamples(traffic, 1)).toHaveLength(1);
    expect(bench.overlay.peerSamples(traffic, 0)).toEqual([]);
  });
});
