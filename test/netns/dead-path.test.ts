/** Paths that eat packets and say nothing: the daemons find out by themselves. */
import { expect, it } from "vitest";
import { type Pair, ping, suite, withPair } from "./support.ts";

const MEGABYTE = 1_000_000;

/** No ICMP error leaves the router. */
const MUTE = `table inet mute {
  chain o {
    type filter hook output priority 0;
    icmp type { destination-unreachable, time-exceeded } drop
    icmpv6 type { destination-unreachable, packet-too-big } drop
  }
}`;

async function transfer({ a, b }: Pair, bytes: number): Promise<number> {
  const [here, there] = await Promise.all([a.daemon.namespace.agent(), b.daemon.namespace.agent()]);
  const moved = await here.sendTcp(b.daemon.hit, await there.serveTcp(), bytes, 60_000);
  expect(moved.error).toBeUndefined();
  expect(moved.receivedHash).toBe(moved.sentHash);
  return moved.millis;
}

async function pathMtu({ a }: Pair): Promise<number> {
  return (await a.daemon.json<{ readonly pathMtu: number }>("association", "show", "b")).pathMtu;
}

suite("a path that says nothing", () => {
  it("shrinks, and TCP goes on", () =>
    withPair({}, async (pair) => {
      const { a, router } = pair;
      await a.daemon.ctl("connect", "b");
      await transfer(pair, MEGABYTE);
      expect(await pathMtu(pair)).toBe(1500);
      await router.nft(MUTE);
      await router.ip(["link set dev to-b mtu 1400"]);
      const millis = await transfer(pair, 5 * MEGABYTE);
      expect(millis).toBeLessThan(20_000);
      await expect.poll(() => pathMtu(pair), { timeout: 20_000 }).toBeGreaterThan(1392);
      expect(await pathMtu(pair)).toBeLessThanOrEqual(1400);
      const counters = await a.daemon.json<Record<string, number>>("counters");
      expect(counters["event_path_dead_total"] ?? 0).toBe(0);
    }));

  it("dies, and another one is in use a moment later", () =>
    withPair({}, async (pair) => {
      const { a, b, router } = pair;
      await a.daemon.ctl("connect", "b");
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
      const path = async () => (await a.daemon.peer("b")).path?.remote ?? "";
      const before = await path();
      const ipv4 = !before.startsWith("[");
      const count = 250;
      const command = ["ping", "-n", "-D", "-i", "0.02", "-c", `${count}`, "-W", "1", b.daemon.hit];
      const stream = a.daemon.namespace.spawn(command);
      await stream.line((line) => line.includes("icmp_seq=50 "));
      await router.nft(`table ${ipv4 ? "ip" : "ip6"} hole {
        chain f {
          type filter hook forward priority 0;
          udp dport 10500 drop
        }
      }`);
      await stream.ended();
      const times = [...stream.out.join("\n").matchAll(/^\[([\d.]+)\]/gm)].map(
        (match) => Number(match[1]) * 1000,
      );
      const gap = Math.max(...times.slice(1).map((time, i) => time - (times[i] as number)));
      expect(gap).toBeLessThan(2000);
      expect(times.length).toBeGreaterThan(count / 2);
      expect(await path()).not.toBe(before);
    }));
});
