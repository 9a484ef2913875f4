/** The native data plane alone, with static SAs, on real kernels: what ports.ts promises. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { formatHit, hitFromBytes, parseIpv6 } from "../../src/core/ip.ts";
import type { Hit } from "../../src/core/types.ts";
import { Capture } from "../../tools/lab/capture.ts";
import { Lab, type RoutedPair, routedPair } from "../../tools/lab/lab.ts";
import { ping } from "../../tools/lab/ping.ts";
import {
  dissociate,
  install,
  NAMES,
  PlaneHost,
  pathBetween,
  type SaOptions,
  spiOf,
  whileAssociated,
} from "./plane-client.ts";
import { suite } from "./support.ts";

suite("the native data plane", () => {
  let net: RoutedPair;
  let a: PlaneHost;
  let b: PlaneHost;
  let toB: { readonly lsi: string; readonly hit: string };

  beforeAll(async () => {
    net = await routedPair(Lab.create());
    [a, b] = await Promise.all([PlaneHost.start(net.a, NAMES.a), PlaneHost.start(net.b, NAMES.b)]);
    toB = { lsi: b.lsi, hit: formatHit(b.hit) };
  });
  afterAll(() => net?.lab.close());

  const associated = (options: SaOptions, body: () => Promise<void>) =>
    whileAssociated(net.a, a, b, options, body);

  const WAYS: readonly (SaOptions & { readonly name: string })[] = [
    { name: "UDP over IPv4" },
    { name: "UDP over IPv6", ipv6: true },
    { name: "plain IPv4", carrier: "none" },
    { name: "plain IPv6", carrier: "none", ipv6: true },
    { name: "suite 12", suite: 12 },
    { name: "suite 9", suite: 9 },
    { name: "suite 8", suite: 8 },
    { name: "suite 7", suite: 7 },
    { name: "one SPI", second: false },
  ];
  for (const way of WAYS) {
    it(`carries ping and TCP by LSI and HIT: ${way.name}`, () =>
      associated(way, async () => {
        const [near, far] = await Promise.all([net.a.namespace.agent(), net.b.namespace.agent()]);
        const port = await far.serveTcp();
        for (const name of [toB.hit, toB.lsi]) {
          expect((await ping(net.a.namespace, name)).received).toBe(3);
          // With a single SPI an unexpected packet shows itself as IPv6: no listener of IPv4 hears it.
          if (way.second === false && name === toB.lsi) continue;
          const done = await near.sendTcp(name, port, 300_000);
          expect(done.error).toBeUndefined();
          expect(done.receivedHash).toBe(done.sentHash);
        }
      }));
  }

  it("fills the path exactly, and says how much fits", () =>
    associated({}, async () => {
      const capture = await Capture.start(net.a.namespace, "eth0", "udp port 10500");
      // 1478 and 1458 bytes: IPv6 and ICMPv6 headers take 48 of them, IPv4 and ICMP 28.
      for (const [name, data] of [
        [toB.hit, 1430],
        [toB.lsi, 1430],
      ] as const) {
        const whole = await ping(net.a.namespace, name, 1, ["-M", "do", "-s", `${data}`]);
        expect(whole.received).toBe(1);
        const more = await ping(net.a.namespace, name, 1, ["-M", "do", "-s", `${data + 1}`]);
        expect(more.received).toBe(0);
        expect(more.output).toMatch(/message too long|[mM]tu[ =:]+14[57]8/);
      }
      await capture.until((packet) => packet.bytes.length === 1500, "a packet of 1500 bytes");
      expect(capture.packets.every((packet) => packet.bytes.length <= 1500)).toBe(true);
    }));

  it("carries packets larger than the path in fragments", () =>
    associated({}, async () => {
      for (const name of [toB.hit, toB.lsi]) {
        expect((await ping(net.a.namespace, name, 2, ["-s", "4000"])).received).toBe(2);
        // Without DF: the path is learnt, or the packet is split on the way.
        expect((await ping(net.a.namespace, name, 2, ["-M", "dont", "-s", "1450"])).received).toBe(2);
      }
    }));

  it("follows the path MTU behind a router, without a black hole", () =>
    associated({}, async () => {
      const mtu = (value: number) => net.router.ip([`link set dev to-b mtu ${value}`]);
      await mtu(1300);
      try {
        const [near, far] = await Promise.all([net.a.namespace.agent(), net.b.namespace.agent()]);
        const port = await far.serveTcp();
        for (const name of [toB.hit, toB.lsi]) {
          const done = await near.sendTcp(name, port, 1_000_000);
          expect(done.error).toBeUndefined();
          expect(done.receivedHash).toBe(done.sentHash);
        }
        expect((await a.call("associations"))[0]?.pathMtu).toBe(1300);
      } finally {
        await mtu(1500);
      }
    }));

  it("holds packets for a peer on demand and sends them in order", async () => {
    await install(a, "a", b);
    await install(b, "b", a);
    await b.call("route", a.hit, spiOf("a"));
    await a.call("route", b.hit, "demand");
    const before = a.events().length;
    const capture = await Capture.start(net.b.namespace, "hip0", "icmp");
    const waiting = ping(net.a.namespace, toB.lsi, 5);
    await a.event("miss", (event) => event.peer === b.hit);
    while ((await a.counter("held_total")) < 5) await ping(net.a.namespace, "192.0.2.1", 1);
    await a.call("route", b.hit, spiOf("b"));
    expect((await waiting).received).toBe(5);
    await capture.until((packet) => packet.bytes[20] === 0, "the last reply");
    const requests = capture.packets.filter((packet) => packet.bytes[20] === 8);
    expect(requests.map((packet) => packet.bytes[27])).toEqual([1, 2, 3, 4, 5]);
    const misses = a
      .events()
      .slice(before)
      .filter((event) => event.type === "miss");
    expect(misses.length).toBeLessThanOrEqual(2);
    await dissociate(a, b);
  });

  it("answers what cannot be delivered with ICMP at once", async () => {
    const agent = await net.a.namespace.agent();
    const refused = async (address: string) => {
      const result = await agent.sendTcp(address, 9, 1, 3_000);
      expect(result.error).toBe("EHOSTUNREACH");
      expect(result.millis).toBeLessThan(1_000);
    };
    await refused("2001:22:1::99");
    await refused("198.18.9.9");
    await a.call("alias", b.lsi, b.hit);
    await a.call("route", b.hit, "reject");
    await refused(toB.hit);
    await refused(toB.lsi);
    // Held ones too, when the verdict comes.
    await a.call("route", b.hit, "demand");
    const held = agent.sendTcp(toB.lsi, 9, 1, 5_000);
    while ((await a.call("counters"))["held_bytes"] === 0) await ping(net.a.namespace, "192.0.2.1", 1);
    await a.call("route", b.hit, "reject");
    expect((await held).error).toBe("EHOSTUNREACH");
    await a.call("route", b.hit, "unknown");
    await refused(toB.lsi);
    await a.call("alias", b.lsi, undefined);
    expect(await a.counter("peers")).toBe(0);
  });

  it("delivers HIP packets with their path, over all carriers, whole when they are larger than the path", async () => {
    let number = 0;
    for (const ipv6 of [false, true]) {
      for (const carrier of ["udp", "none"] as const) {
        for (const length of [40, 2048]) {
          const bytes = Uint8Array.from({ length }, (_, i) => i + number);
          number++;
          await a.call("send", pathBetween(a, b, { carrier, ipv6 }), bytes);
          const event = await b.event(
            "control",
            (one) => one.bytes.length === length && one.bytes[0] === bytes[0],
          );
          expect(event.bytes).toEqual(bytes);
          expect(event.path).toEqual(pathBetween(b, a, { carrier, ipv6 }));
        }
      }
    }
    expect(await a.call("source", net.b.ipv4)).toBe(net.a.ipv4);
    expect(await a.call("source", net.b.ipv6)).toBe(net.a.ipv6);
  });

  it("measures its own echo and keeps it from applications", () =>
    associated({}, async () => {
      const capture = await Capture.start(net.a.namespace, "hip0");
      await a.call("ping", a.hit, b.hit, 70_001, 100);
      const reply = await a.event("echo-reply", (event) => event.sequence === 70_001);
      expect(reply.peer).toBe(b.hit);
      expect(reply.rttMicros).toBeGreaterThan(10);
      expect((await ping(net.a.namespace, toB.hit, 1)).received).toBe(1);
      await capture.until((packet) => packet.bytes[40] === 129, "the application's reply");
      expect(capture.packets.filter((packet) => packet.bytes[40] === 129)).toHaveLength(1);
    }));

  it("believes only what is authentic and new", () =>
    associated({}, async () => {
      const capture = await Capture.start(
        net.b.namespace,
        "eth0",
        "udp dst port 10500 and src host 192.0.2.2",
      );
      await ping(net.a.namespace, toB.hit, 1);
      const sealed = (await capture.until((packet) => packet.bytes[30] === 0x20, "ESP")).bytes.subarray(28);
      const shoot = async (bytes: Uint8Array) => {
        await net.router.run([
          process.execPath,
          "-e",
          `const s=require("node:dgram").createSocket("udp4");s.send(Buffer.from("${Buffer.from(bytes).toString("hex")}","hex"),10500,"203.0.113.2",()=>s.close())`,
        ]);
      };
      const names = [
        "drop_esp_replay_total",
        "drop_esp_auth_total",
        "drop_unknown_spi_total",
        "keepalive_total",
      ] as const;
      const counts = async () => {
        const counters = await b.call("counters");
        return names.map((name) => counters[name] ?? 0);
      };
      const before = await counts();
      await shoot(sealed);
      const forged = Uint8Array.from(sealed);
      forged[7] = 200;
      await shoot(forged);
      await shoot(Uint8Array.of(0, 0, 0x77, 0x77, 0, 0, 0, 1, 2, 3, 4, 5));
      await shoot(Uint8Array.of(0xff));
      const unknown = await b.event("unknown-spi", (event) => event.spi === 0x7777);
      expect(unknown.path.remote.address).toBe("203.0.113.1");
      await expect.poll(counts).toEqual(before.map((count) => count + 1));
      expect(b.events().some((event) => event.type === "moved")).toBe(false);
    }));

  it("hints at authentic packets from elsewhere, and only then", () =>
    associated({}, async () => {
      await net.router.nft(`table ip nat {
        chain post {
          type nat hook postrouting priority 100
          ip saddr 192.0.2.2 udp dport 10500 snat to 203.0.113.1:4500
        }
      }`);
      try {
        expect((await ping(net.a.namespace, toB.hit, 2)).received).toBeGreaterThanOrEqual(0);
        const moved = await b.event("moved", (event) => event.spi === spiOf("b"));
        expect(moved.path.remote).toEqual({ address: "203.0.113.1", port: 4500 });
        // Then the answers follow, when the control plane says so.
        await b.call("setPath", a.hit, spiOf("a"), moved.path, true);
        expect((await ping(net.a.namespace, toB.hit, 2)).received).toBe(2);
      } finally {
        await net.router.nft("delete table ip nat");
      }
    }));

  it("tells idle, first and expiring SAs, and stops at the hard limit", () =>
    associated({ idleAfter: 200, softPackets: 5 }, async () => {
      const from = a.events().length;
      const of = (kind: string) =>
        a
          .events()
          .slice(from)
          .filter((event) => event.type === "esp" && event.event === kind);
      expect((await ping(net.a.namespace, toB.hit, 12)).received).toBe(10);
      expect(of("soft-expiry")).toEqual([{ type: "esp", spi: spiOf("b"), event: "soft-expiry" }]);
      expect(of("first-inbound")).toEqual([{ type: "esp", spi: spiOf("a"), event: "first-inbound" }]);
      expect(await a.counter("drop_sa_exhausted_total")).toBeGreaterThanOrEqual(2);
      await expect.poll(() => of("idle").length, { timeout: 5_000 }).toBeGreaterThanOrEqual(2);
      expect(of("idle")[0]).toEqual({ type: "esp", spi: spiOf("a"), event: "idle" });
    }));

  it("tells the host's addresses, once for a burst of changes", async () => {
    const own = { interface: "eth0", deprecated: false, temporary: false, defaultSource: true };
    // 1024: what IPv6 routes have that were given no metric.
    expect(await a.call("addresses")).toEqual([
      { ...own, address: net.a.ipv4, metric: 0 },
      { ...own, address: net.a.ipv6, metric: 1024 },
    ]);
    const from = a.events().length;
    await net.a.namespace.ip([
      "addr add 192.0.2.77/32 dev eth0",
      "addr add 192.0.2.78/32 dev eth0",
      "addr del 192.0.2.77/32 dev eth0",
      "addr add fe80::1234/64 dev eth0 nodad",
    ]);
    await a.event("addresses", (event) => event.local.some(({ address }) => address === "192.0.2.78"));
    await net.a.namespace.ip(["addr del 192.0.2.78/32 dev eth0"]);
    await expect
      .poll(() =>
        a
          .events()
          .slice(from)
          .filter((event) => event.type === "addresses")
          .map(({ local }) => local.map(({ address }) => address)),
      )
      .toEqual([
        [net.a.ipv4, "192.0.2.78", net.a.ipv6],
        [net.a.ipv4, net.a.ipv6],
      ]);
  });

  it("chooses another source for a peer that knows the host by another name", async () => {
    const other = "2001:22:1::a2";
    const third = hitFromBytes(parseIpv6("2001:22:1::c") as Uint8Array);
    const local = hitFromBytes(parseIpv6(other) as Uint8Array);
    await net.a.namespace.ip([`addr add ${other}/128 dev hip0 nodad`]);
    const sourceTo = async (peer: string) =>
      / src (\S+)/.exec(await net.a.namespace.run(["ip", "-6", "route", "get", peer]))?.[1];
    await a.call("setSources", [
      { peer: b.hit, local },
      { peer: third, local },
    ]);
    expect(await sourceTo(toB.hit)).toBe(other);
    await a.call("setSources", [{ peer: third, local }]);
    expect(await sourceTo(toB.hit)).toBe(formatHit(a.hit));
    expect(await sourceTo("2001:22:1::c")).toBe(other);
    await a.call("setSources", []);
    expect(await sourceTo("2001:22:1::c")).toBe(formatHit(a.hit));
    await net.a.namespace.ip([`addr del ${other}/128 dev hip0`]);
    expect((await ping(net.a.namespace, formatHit(a.hit), 1)).received).toBe(1);
  });

  it("says when its interface was removed, and rests", async () => {
    await b.stop();
    b = await PlaneHost.start(net.b, NAMES.b);
    await net.b.namespace.ip(["link del hip0"]);
    await b.line((line) => line.includes("interface was removed"));
    const [before, after] = [await b.counter("tun_reads_total"), await b.counter("tun_reads_total")];
    expect(after).toBe(before);
    await b.stop();
    b = await PlaneHost.start(net.b, NAMES.b);
  });

  it("refuses a second plane, and prefixes that are used elsewhere, in clear words", async () => {
    await expect(PlaneHost.start(net.a, NAMES.a)).rejects.toThrow(
      /UDP port 10500 is in use on 0\.0\.0\.0:10500/,
    );
    const fresh = { ...net.a, namespace: net.router };
    await net.router.ip(["link add d0 type veth peer name d1", "addr add 198.19.1.1/24 dev d0"]);
    await expect(PlaneHost.start(fresh, NAMES.a)).rejects.toThrow(
      /198\.18\.0\.0\/15 overlaps.*198\.19\.1\.\d.*d0/,
    );
    await net.router.ip(["link del d0", "route add 2001::/16 via 2001:db8:a::2"]);
    await expect(PlaneHost.start(fresh, NAMES.a)).rejects.toThrow(
      /2001:20::\/28 overlaps the route 2001::\/16 of to-a/,
    );
    await net.router.ip(["route del 2001::/16"]);
    expect(await net.router.devices()).not.toContain("hip0");
  });

  it("comes back to its interface after a kill, with several workers too", async () => {
    await b.stop("SIGKILL");
    expect(await net.b.namespace.devices()).toContain("hip0");
    for (const workers of [1, 2]) {
      b = await PlaneHost.start(net.b, NAMES.b, { workers });
      await associated({}, async () => {
        expect((await ping(net.a.namespace, toB.lsi)).received).toBe(3);
      });
      await b.stop();
    }
  });

  it("keeps an unnamed peer's packets in when the interface is gone", async () => {
    await net.b.namespace.ip(["link del hip0"]);
    const someone = "2001:22:1::77" as string as Hit;
    for (const address of [someone, "198.18.7.7"]) {
      const result = await net.b.namespace.attempt(["ping", "-c", "1", "-W", "1", address]);
      expect(result.stdout + result.stderr).toMatch(/[Uu]nreachable|No route/);
    }
  });
});
