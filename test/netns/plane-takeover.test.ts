/** The native data plane goes on in another process, which gets its tables, its TUN device and its sockets. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { formatHit } from "../../src/core/ip.ts";
import { Lab, type RoutedPair, routedPair } from "../../tools/lab/lab.ts";
import { longestGap, lostOf, Pulse } from "../../tools/lab/pulse.ts";
import { associate, NAMES, PlaneHost, spiOf } from "./plane-client.ts";
import type { TakenOver } from "./plane-host.ts";
import { suite } from "./support.ts";

const ROUNDS = 5;

function worst(done: readonly TakenOver[], of: (one: TakenOver) => number): string {
  return `${Math.max(...done.map(of)).toFixed(1)} ms`;
}

suite("take-over of the native data plane", () => {
  let net: RoutedPair;
  let a: PlaneHost;
  let b: PlaneHost;

  beforeAll(async () => {
    net = await routedPair(Lab.create());
    [a, b] = await Promise.all([
      PlaneHost.start(net.a, NAMES.a),
      PlaneHost.start(net.b, NAMES.b, { workers: 2 }),
    ]);
    await associate(a, b, { idleAfter: 60_000 });
  });
  afterAll(() => net?.lab.close());

  it("loses, doubles and overtakes no datagram, in either direction", async () => {
    const there = await Pulse.start(net.a.namespace, net.b.namespace, formatHit(b.hit), 7000);
    const back = await Pulse.start(net.b.namespace, net.a.namespace, a.lsi, 7000);
    const done: TakenOver[] = [];
    let before = await a.call("counters");
    for (let round = 0; round < ROUNDS; round++) {
      for (const host of [a, b]) {
        done.push(await host.call("takeOver"));
        await Promise.all([there.beats(100), back.beats(100)]);
      }
      const after = await a.call("counters");
      for (const [name, value] of Object.entries(before)) {
        if (name.endsWith("_total")) expect(after[name], name).toBeGreaterThanOrEqual(value);
      }
      before = after;
    }
    expect(new Set(done.map((one) => one.process)).size).toBe(2 * ROUNDS);
    const reports = await Promise.all([there.stop(), back.stop()]);
    console.log(
      `${done.length} take-overs under 1000 datagrams a second each way: nobody served for at most ` +
        `${worst(done, (one) => one.gapMillis)} (another process begins), of which suspend ${worst(done, (one) => one.suspendMillis)}, ` +
        `resume ${worst(done, (one) => one.resumeMillis)}; longest time without a datagram ` +
        `${Math.max(...reports.map((one) => longestGap(one))).toFixed(1)} ms`,
    );
    for (const report of reports) {
      expect(lostOf(report)).toBe(0);
      expect(report.duplicates).toBe(0);
    }
    for (const host of [a, b]) {
      const counters = await host.call("counters");
      for (const drop of ["esp_replay", "esp_stale", "esp_auth", "unknown_spi", "tun_write_failed"]) {
        expect(counters[`drop_${drop}_total`], drop).toBe(0);
      }
    }
  });

  it("keeps a TCP connection whole", async () => {
    const [near, far] = await Promise.all([net.a.namespace.agent(), net.b.namespace.agent()]);
    const sending = near.sendTcp(b.lsi, await far.serveTcp(), 60_000_000);
    for (const host of [a, b, a]) await host.call("takeOver");
    const done = await sending;
    expect(done.error).toBeUndefined();
    expect(done.receivedHash).toBe(done.sentHash);
  });

  it("keeps the association's numbers, and takes changes", async () => {
    const [before] = await a.call("associations");
    await a.call("takeOver");
    const [after] = await a.call("associations");
    expect(after).toEqual(before);
    expect(await a.call("stalled", 1000)).toBe(0);
    await a.call("dropSa", spiOf("b"), "out", b.hit);
    expect((await a.call("associations"))[0]?.outSpi).toBeUndefined();
  });
});
