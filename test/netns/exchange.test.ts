/** The main job on every kind of path: an exchange, then applications that talk by LSI, by HIT and by name. */
import { expect, it } from "vitest";
import { Capture } from "../../tools/lab/capture.ts";
import type { Side } from "../../tools/lab/daemon.ts";
import { espPacket, hipType, ICMP, ICMPV6, isOverlayCarrier } from "../../tools/lab/packet.ts";
import { addressesOf, associationOf, ping, sharedPair, suite } from "./support.ts";

const FAMILIES = ["ipv4", "ipv6"] as const;
const CARRIERS = ["udp", "none"] as const;
const MARKER = "this text is for the peer only";

for (const family of FAMILIES) {
  for (const carrier of CARRIERS) {
    suite(`${family} underlay, encapsulation ${carrier}`, () => {
      const pair = sharedPair({ family, carrier });

      it("exchanges I1 R1 I2 R2 when the first packet is sent, and answers that packet", async () => {
        const { a, b, router } = pair();
        const capture = await Capture.start(router, "to-a");
        const { received, output } = await ping(a.daemon.namespace, b.daemon.hit);
        expect(received, output).toBe(3);
        const types = (await capture.stop()).map(hipType).filter((type) => type !== undefined);
        expect([...new Set(types)].slice(0, 4)).toEqual([1, 2, 3, 4]);
        const view = await a.daemon.peer("b");
        expect(view.state).toBe("ESTABLISHED");
        expect(view.path?.carrier).toBe(carrier);
        expect(view.path?.remote).toContain(b[family]);
        expect(view.establishedAt).not.toBeNull();
      });

      it("carries ICMP, UDP and TCP by LSI and by HIT, and shows only ESP on the wire", async () => {
        const { a, b, router } = pair();
        const { lsi, hit } = await addressesOf(a, b);
        const [here, there] = await Promise.all([a.daemon.namespace.agent(), b.daemon.namespace.agent()]);
        const [tcp, udp] = [await there.serveTcp(), await there.serveUdp()];
        const capture = await Capture.start(router, "to-b");
        for (const address of [lsi, hit]) {
          expect((await ping(a.daemon.namespace, address)).received).toBe(3);
          const echoed = await here.sendUdp(address, udp, { count: 20, text: MARKER });
          expect(echoed).toMatchObject({ received: 20, errors: [] });
          const moved = await here.sendTcp(address, tcp, 1_000_000);
          expect(moved.error).toBeUndefined();
          expect(moved.receivedHash).toBe(moved.sentHash);
        }
        const packets = (await capture.stop()).filter((packet) => packet.protocol !== ICMPV6);
        expect(packets.filter((packet) => espPacket(packet) !== undefined).length).toBeGreaterThan(60);
        expect(packets.filter((packet) => !isOverlayCarrier(packet))).toEqual([]);
        expect(packets.filter((packet) => Buffer.from(packet.bytes).includes(MARKER))).toEqual([]);
      });

      it("lets the responder's side begin conversations over the same association", async () => {
        const { a, b } = pair();
        const before = await associationOf({ a, b });
        expect((await ping(b.daemon.namespace, a.daemon.hit)).received).toBe(3);
        expect((await ping(b.daemon.namespace, await b.daemon.lsi("a"))).received).toBe(3);
        expect(await associationOf({ a, b })).toEqual(before);
      });
    });
  }
}

suite("a daemon that says that it is ready", () => {
  const pair = sharedPair({});

  it("answers the first I1", async () => {
    const { a, b } = pair();
    expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
    const { hip_drop_r1_not_ready_total: dropped = 0 } = await b.daemon.counters();
    expect(dropped).toBe(0);
  });
});

suite("names", () => {
  const pair = sharedPair({});

  it("resolve to LSI and HIT with the lines that hipctl peer list --hosts prints", async () => {
    const { a, b } = pair();
    for (const { daemon } of [a, b]) {
      const lines = (await daemon.ctl("peer", "list", "--hosts")).stdout.trim().split("\n");
      daemon.namespace.hosts(
        lines.flatMap((line) => {
          const [address = "", ...names] = line.trim().split(/\s+/);
          return names.map((name) => [address, name] as const);
        }),
      );
    }
    const there = await b.daemon.namespace.agent();
    const here = await a.daemon.namespace.agent();
    for (const name of ["b", "b.hip"]) {
      for (const family of ["-4", "-6"]) {
        const done = await ping(a.daemon.namespace, name, family);
        expect(done.received, done.output).toBe(3);
      }
      const moved = await here.sendTcp(name, await there.serveTcp(), 100_000);
      expect(moved.receivedHash).toBe(moved.sentHash);
    }
  });
});

suite("what the far application sees", () => {
  const pair = sharedPair({});

  it("is the family that was used: LSIs stay LSIs, HITs stay HITs", async () => {
    const { a, b } = pair();
    const capture = await Capture.start(b.daemon.namespace, "hip0");
    await ping(a.daemon.namespace, await a.daemon.lsi("b"));
    await ping(a.daemon.namespace, b.daemon.hit);
    const packets = await capture.stop();
    const v4 = packets.filter((packet) => packet.protocol === ICMP);
    expect(v4.length).toBe(6);
    expect(new Set(v4.flatMap((packet) => [packet.source, packet.destination]))).toEqual(
      new Set([await b.daemon.lsi("a"), (await b.daemon.status()).self.lsi]),
    );
    const v6 = packets.filter((packet) => packet.protocol === ICMPV6 && hits(packet, a, b));
    expect(v6.length).toBe(6);
  });
});

function hits(packet: { source: string; destination: string }, a: Side, b: Side): boolean {
  const both = [a.daemon.hit, b.daemon.hit];
  return both.includes(packet.source) && both.includes(packet.destination);
}
