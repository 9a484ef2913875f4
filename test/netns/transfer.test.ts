/** Bulk data, loss, packets that do not fit: what real paths do to real TCP. */
import { expect, it } from "vitest";
import { Capture } from "../../tools/lab/capture.ts";
import { espPacket, ICMP, ICMPV6 } from "../../tools/lab/packet.ts";
import { addressesOf, type Pair, ping, sharedPair, suite } from "./support.ts";

const MEGABYTE = 1_000_000;

async function transfer({ a, b }: Pair, address: string, bytes: number) {
  const [here, there] = await Promise.all([a.daemon.namespace.agent(), b.daemon.namespace.agent()]);
  const moved = await here.sendTcp(address, await there.serveTcp(), bytes);
  expect(moved.error).toBeUndefined();
  expect(moved.receivedBytes).toBe(bytes);
  expect(moved.receivedHash).toBe(moved.sentHash);
  return moved;
}

suite("bulk data", () => {
  const pair = sharedPair({});

  it("100 MB by LSI and by HIT arrive unchanged", async () => {
    const { lsi, hit } = await addressesOf(pair().a, pair().b);
    await transfer(pair(), lsi, 100 * MEGABYTE);
    await transfer(pair(), hit, 100 * MEGABYTE);
    const view = await pair().a.daemon.peer("b");
    expect(view.txBytes).toBeGreaterThan(200 * MEGABYTE);
  });

  it("2 % loss slows a transfer down and breaks nothing", async () => {
    const { a, b, router } = pair();
    const { lsi, hit } = await addressesOf(a, b);
    await router.loss(2);
    try {
      await transfer(pair(), lsi, 5 * MEGABYTE);
      await transfer(pair(), hit, 5 * MEGABYTE);
    } finally {
      await router.loss(0);
    }
  });

  it("fragments of datagrams larger than the MTU arrive in both families", async () => {
    const { a, b } = pair();
    const { lsi, hit } = await addressesOf(a, b);
    for (const address of [lsi, hit]) {
      const done = await ping(a.daemon.namespace, address, "-s", "4000");
      expect(done.received, done.output).toBe(3);
    }
  });
});

suite("loss during the exchange", () => {
  const pair = sharedPair({});

  // By chance all repetitions of one packet may be lost, and then a peer is given up rightly.
  it("an exchange over a path that loses every third packet completes by retransmission", async () => {
    const { a, b, router } = pair();
    await router.nft(`table inet thirds {
      chain forward {
        type filter hook forward priority 0;
        udp dport 10500 numgen inc mod 3 == 0 counter drop
      }
    }`);
    const done = await a.daemon.ctl("connect", "b");
    const rules = await router.run(["nft", "list", "table", "inet", "thirds"]);
    await router.nft("delete table inet thirds");
    expect(done.status, done.stderr).toBe(0);
    // The first I1 and the first I2, at least.
    expect(Number(/packets (\d+)/.exec(rules)?.[1])).toBeGreaterThanOrEqual(2);
    expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
  });
});

for (const family of ["ipv4", "ipv6"] as const) {
  for (const carrier of ["udp", "none"] as const) {
    suite(`a path of 1400 bytes, ${family}, encapsulation ${carrier}`, () => {
      const pair = sharedPair({ mtu: 1400, family, carrier });

      it("TCP is not black-holed, and applications are told what fits", async () => {
        const { a, b } = pair();
        const { lsi, hit } = await addressesOf(a, b);
        const capture = await Capture.start(a.daemon.namespace, "hip0", "icmp or icmp6");
        await transfer(pair(), lsi, 3 * MEGABYTE);
        await transfer(pair(), hit, 3 * MEGABYTE);
        const v4 = await ping(a.daemon.namespace, lsi, "-M", "do", "-s", "1372");
        expect(v4.received).toBe(0);
        expect(v4.output).toMatch(/Frag needed|message too long/i);
        const v6 = await ping(a.daemon.namespace, hit, "-M", "do", "-s", "1352");
        expect(v6.received).toBe(0);
        expect(v6.output).toMatch(/Packet too big|message too long/i);
        const fits = await ping(a.daemon.namespace, lsi, "-M", "do", "-s", "1200");
        expect(fits.received, fits.output).toBe(3);
        const packets = await capture.stop();
        const needed = packets.filter(
          ({ protocol, payload }) => protocol === ICMP && payload[0] === 3 && payload[1] === 4,
        );
        const tooBig = packets.filter(({ protocol, payload }) => protocol === ICMPV6 && payload[0] === 2);
        expect(needed.length).toBeGreaterThan(0);
        expect(tooBig.length).toBeGreaterThan(0);
      });
    });
  }
}

suite("the path's MTU", () => {
  const pair = sharedPair({});

  it("packets that the 1500-byte path takes are never fragmented on the wire", async () => {
    const { a, b, router } = pair();
    const { lsi, hit } = await addressesOf(a, b);
    await ping(a.daemon.namespace, hit);
    // The kernel cuts what the daemon hands over as one message before the device, as it does for devices that cannot.
    await a.daemon.namespace.ip(["link set dev eth0 gso_max_segs 1"]);
    const capture = await Capture.start(router, "to-a", "", 128);
    await transfer(pair(), lsi, MEGABYTE);
    await transfer(pair(), hit, MEGABYTE);
    const packets = await capture.stop();
    expect(packets.filter((packet) => packet.fragment)).toEqual([]);
    const longest = Math.max(...packets.filter((packet) => espPacket(packet)).map((packet) => packet.length));
    expect(longest).toBeGreaterThan(1400);
    expect(longest).toBeLessThanOrEqual(1500);
  });
});
