/** What the native data plane knows about paths: probes, silence, path MTU, credit, the way out. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { formatHit } from "../../src/core/ip.ts";
import type { Path } from "../../src/core/types.ts";
import { Capture } from "../../tools/lab/capture.ts";
import { Lab, type RoutedPair, routedPair } from "../../tools/lab/lab.ts";
import { ping } from "../../tools/lab/ping.ts";
import { NAMES, PlaneHost, pathBetween, type SaOptions, spiOf, whileAssociated } from "./plane-client.ts";
import { suite } from "./support.ts";

suite("paths of the native data plane", () => {
  let net: RoutedPair;
  let a: PlaneHost;
  let b: PlaneHost;
  let toB: string;
  let token = 0;

  beforeAll(async () => {
    net = await routedPair(Lab.create());
    [a, b] = await Promise.all([PlaneHost.start(net.a, NAMES.a), PlaneHost.start(net.b, NAMES.b)]);
    toB = formatHit(b.hit);
  });
  afterAll(() => net?.lab.close());

  const associated = (options: SaOptions, body: () => Promise<void>) =>
    whileAssociated(net.a, a, b, options, body);

  const probe = async (path: Path, bytes: number) => {
    await a.call("probe", b.hit, path, ++token, bytes);
    return token;
  };
  const answered = (wanted: number) => a.event("probe-reply", (event) => event.token === wanted);
  const gone = (wanted: number) =>
    a.events().some((event) => event.type === "probe-reply" && event.token === wanted);

  /** Everything that the router would forward is dropped while `body` runs: `rule` says what. */
  async function without(rule: string, body: () => Promise<void>): Promise<void> {
    await net.router.nft(
      `table inet hole { chain f { type filter hook forward priority 0; ${rule} drop; }; }`,
    );
    try {
      await body();
    } finally {
      await net.router.nft("delete table inet hole");
    }
  }

  const WAYS: readonly (SaOptions & { readonly name: string })[] = [
    { name: "UDP over IPv4" },
    { name: "UDP over IPv6", ipv6: true },
    { name: "plain IPv4", carrier: "none" },
    { name: "plain IPv6", carrier: "none", ipv6: true },
    { name: "suite 8", suite: 8 },
  ];
  for (const way of WAYS) {
    it(`probes a path with packets of any size: ${way.name}`, () =>
      associated(way, async () => {
        const [seen, wire] = await Promise.all([
          Capture.start(net.b.namespace, "hip0"),
          Capture.start(net.a.namespace, "eth0", way.ipv6 ? "ip6" : "ip"),
        ]);
        const path = pathBetween(a, b, way);
        for (const bytes of [0, 1500, 1280, 120]) {
          const reply = await answered(await probe(path, bytes));
          expect(reply.peer).toBe(b.hit);
          expect(reply.bytes).toBe(bytes || 1500);
          expect(reply.rttMicros).toBeGreaterThan(10);
        }
        const before = await a.counter("probes_refused_total");
        const lost = await probe(path, 1600);
        await expect.poll(() => a.counter("probes_refused_total")).toBe(before + 1);
        expect(gone(lost)).toBe(false);
        // An application's ping goes through the device, a probe does not.
        expect((await ping(net.a.namespace, toB, 1)).received).toBe(1);
        await seen.until((packet) => packet.bytes[40] === 129, "the application's reply");
        expect(seen.packets.filter((packet) => packet.bytes[40] === 128)).toHaveLength(1);
        const large = wire.packets.filter((packet) => packet.bytes.length > 1400);
        // As large as whole blocks of the cipher allow, and never to be fragmented.
        expect(large.length).toBe(2);
        expect(large.every((packet) => packet.bytes.length > (way.suite === 8 ? 1484 : 1499))).toBe(true);
        if (!way.ipv6) expect(large.every((packet) => (packet.bytes[6] as number) & 0x40)).toBe(true);
      }));
  }

  it("probes another path than the one in use, and is answered along it", () =>
    associated({}, async () => {
      const moved = () => b.events().filter((event) => event.type === "moved").length;
      const before = moved();
      const wire = await Capture.start(net.b.namespace, "eth0", "ip6 and udp port 10500");
      await answered(await probe(pathBetween(a, b, { ipv6: true }), 600));
      // 60: IPv6, UDP, ESP and the cookie.
      await wire.until((packet) => packet.bytes[40 + 1] === 0x04 && packet.bytes.length < 150, "the answer");
      expect((await ping(net.a.namespace, toB, 1)).received).toBe(1);
      expect(moved()).toBe(before);
    }));

  it("probes above the path MTU that the kernel has learnt", () =>
    associated({}, async () => {
      const path = pathBetween(a, b);
      await net.router.ip(["link set dev to-b mtu 1300"]);
      const lost = await probe(path, 1500);
      await expect
        .poll(async () =>
          (await net.a.namespace.run(["ip", "route", "get", net.b.ipv4])).includes("mtu 1300"),
        )
        .toBe(true);
      expect((await answered(await probe(path, 0))).bytes).toBe(1300);
      await net.router.ip(["link set dev to-b mtu 1500"]);
      expect((await answered(await probe(path, 1500))).bytes).toBe(1500);
      expect(gone(lost)).toBe(false);
    }));

  it("says that a peer is silent, while packets go there, and not before or after", () =>
    associated({}, async () => {
      const silences = () => a.events().filter((event) => event.type === "silent");
      const before = silences().length;
      expect((await ping(net.a.namespace, toB, 5)).received).toBe(5);
      expect(silences()).toHaveLength(before);
      await without("udp dport 10500", async () => {
        const sending = ping(net.a.namespace, toB, 8, ["-W", "1"]);
        await expect.poll(() => silences().length, { interval: 20, timeout: 5000 }).toBe(before + 2);
        const [first, second] = silences().slice(before);
        expect(first).toMatchObject({ peer: b.hit });
        for (const [event, millis] of [
          [first, 500],
          [second, 1000],
        ] as const) {
          expect(event?.millis).toBeGreaterThanOrEqual(millis);
          expect(event?.millis).toBeLessThan(millis + 250);
        }
        expect((await sending).received).toBe(0);
      });
      const count = silences().length;
      expect((await ping(net.a.namespace, toB, 8)).received).toBe(8);
      expect(silences().length).toBeLessThanOrEqual(count + 1);
    }));

  it("holds to a path MTU that probes found, when no ICMP comes", () =>
    associated({}, async () => {
      await net.router.ip(["link set dev to-b mtu 1300"]);
      await net.router.nft(
        "table inet mute { chain o { type filter hook output priority 0; icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }; }",
      );
      try {
        const [near, far] = await Promise.all([net.a.namespace.agent(), net.b.namespace.agent()]);
        const port = await far.serveTcp();
        const lost = await probe(pathBetween(a, b), 1500);
        expect((await answered(await probe(pathBetween(a, b), 1300))).bytes).toBe(1300);
        expect(gone(lost)).toBe(false);
        await a.call("setPathMtu", b.hit, 1300);
        expect((await a.call("associations"))[0]?.pathMtu).toBe(1300);
        for (const name of [toB, b.lsi]) {
          const done = await near.sendTcp(name, port, 500_000);
          expect(done.error).toBeUndefined();
          expect(done.receivedHash).toBe(done.sentHash);
        }
        const big = await ping(net.a.namespace, toB, 1, ["-M", "do", "-s", "1400"]);
        expect(big.output).toMatch(/message too long|[mM]tu[ =:]+12[0-9][0-9]/);
        await a.call("setPathMtu", b.hit, undefined);
        expect((await a.call("associations"))[0]?.pathMtu).toBe(1500);
      } finally {
        await net.router.nft("delete table inet mute");
        await net.router.ip(["link set dev to-b mtu 1500"]);
      }
    }));

  it("spends no more than its credit on an address that is not verified, and loses nothing", () =>
    associated({}, async () => {
      const spent = () => b.counter("credit_spent_bytes_total");
      const before = await spent();
      const [wire, income] = await Promise.all(
        [net.b.ipv4, net.a.ipv4].map((from) =>
          Capture.start(net.b.namespace, "eth0", `udp src port 10500 and src host ${from}`),
        ) as [Promise<Capture>, Promise<Capture>],
      );
      const bytesOf = (capture: Capture, from = 0) =>
        capture.packets.slice(from).reduce((sum, packet) => sum + packet.bytes.length, 0);
      expect((await ping(net.a.namespace, toB, 10)).received).toBe(10);
      const sent = wire.packets.length;
      await b.call("setPath", a.hit, spiOf("a"), pathBetween(b, a), false);
      const flood = ping(net.b.namespace, formatHit(a.hit), 10, ["-s", "1000", "-W", "10"]);
      await expect.poll(() => b.counter("held_total"), { timeout: 10_000 }).toBeGreaterThanOrEqual(5);
      const used = (await spent()) - before;
      expect(used).toBe(bytesOf(wire, sent));
      expect(used).toBeLessThanOrEqual(bytesOf(income));
      await b.call("setPath", a.hit, spiOf("a"), pathBetween(b, a), true);
      expect((await flood).received).toBe(10);
      expect((await spent()) - before).toBe(used);
    }));

  it("does not take packets along the path of a moment ago for a move", () =>
    associated({}, async () => {
      const moved = () => b.events().filter((event) => event.type === "moved").length;
      const before = moved();
      await b.call("setPath", a.hit, spiOf("a"), pathBetween(b, a, { ipv6: true }), true);
      expect((await ping(net.a.namespace, toB, 2)).received).toBe(2);
      expect(moved()).toBe(before);
      // But once the peer has followed, it is there again.
      await a.call("setPath", b.hit, spiOf("b"), pathBetween(a, b, { ipv6: true }), true);
      expect((await ping(net.a.namespace, toB, 2)).received).toBe(2);
      expect(moved()).toBe(before);
      await a.call("setPath", b.hit, spiOf("b"), pathBetween(a, b), true);
      expect((await ping(net.a.namespace, toB, 1)).received).toBe(1);
      await expect.poll(moved).toBe(before + 1);
    }));

  it("leaves by the interface that has the source, also when another default route is better", () =>
    associated({}, async () => {
      // A second way to the router, with the better default routes.
      await net.lab.link(
        { namespace: net.a.namespace, device: "eth1", addresses: ["192.0.2.6/30", "2001:db8:c::2/64"] },
        { namespace: net.router, device: "to-a1", addresses: ["192.0.2.5/30", "2001:db8:c::1/64"] },
      );
      await net.router.sysctl({ "net.ipv4.conf.all.rp_filter": 0 });
      const capture = await Capture.start(net.a.namespace, "eth1", "port 10500");
      await net.a.namespace.ip([
        "route replace default via 192.0.2.5 dev eth1",
        "route append default via 192.0.2.1 dev eth0 metric 100",
        "route add ::/0 via 2001:db8:c::1 dev eth1 metric 10",
      ]);
      await a.event("addresses", (event) =>
        event.local.some(({ address, metric }) => address === "2001:db8:c::2" && metric === 10),
      );
      const events = a.events().filter((event) => event.type === "addresses");
      expect(events.at(-1)?.local).toMatchObject([
        { address: "192.0.2.2", interface: "eth0", metric: 100, defaultSource: false },
        { address: "192.0.2.6", interface: "eth1", metric: 0, defaultSource: true },
        { address: "2001:db8:a::2", interface: "eth0", metric: 1024, defaultSource: false },
        { address: "2001:db8:c::2", interface: "eth1", metric: 10, defaultSource: true },
      ]);
      for (const ipv6 of [false, true]) {
        const path = pathBetween(a, b, { ipv6 });
        await a.call("setPath", b.hit, spiOf("b"), path, true);
        await b.call("setPath", a.hit, spiOf("a"), pathBetween(b, a, { ipv6 }), true);
        expect((await ping(net.a.namespace, toB, 2)).received).toBe(2);
        await answered(await probe(path, 500));
        await a.call("send", path, new Uint8Array(40).fill(7));
        await b.event("control", (event) => event.path.remote.address === path.local.address);
      }
      expect(capture.packets).toHaveLength(0);
      // Without a way out there, packets go where the kernel finds one.
      await net.a.namespace.ip(["route del default via 192.0.2.1 dev eth0", "link set dev eth1 mtu 1490"]);
      await a.call("setPath", b.hit, spiOf("b"), pathBetween(a, b), true);
      await ping(net.a.namespace, toB, 1, ["-W", "1"]);
      await capture.until((packet) => packet.bytes.length > 60, "a packet by the other interface");
    }));
});
