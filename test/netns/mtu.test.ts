/** A path whose MTU shrinks and grows while a TCP stream runs, through a network that drops ICMP. */
import { expect, it } from "vitest";
import { Capture } from "../../tools/lab/capture.ts";
import { espPacket, type IpPacket } from "../../tools/lab/packet.ts";
import { at, type Movers, withMovers } from "./mobile.ts";
import { suite } from "./support.ts";

const MEGABYTE = 1_000_000;
const SMALL = 1280;
const LARGE = 8900;
/** How soon a larger size is tried again. */
const RAISE_AFTER = "10s";

async function dropIcmp({ router }: Movers): Promise<void> {
  await router.nft(`table inet silent {
    chain output {
      type filter hook output priority 0;
      icmp type destination-unreachable drop
      icmpv6 type packet-too-big drop
    }
  }`);
}

async function resize({ router }: Movers, mtu: number): Promise<void> {
  await router.ip([`link set dev b0 mtu ${mtu}`]);
}

/** The kernel cuts what the daemon hands over as one message before the device, so that captures show real packets. */
async function cutEarly({ a, b, router }: Movers): Promise<void> {
  for (const { namespace } of [a, b]) await namespace.ip(["link set dev eth0 gso_max_segs 1"]);
  await router.ip(["link set dev a0 gso_max_segs 1", "link set dev b0 gso_max_segs 1"]);
}

suite("a path MTU that changes, with ICMP dropped", () => {
  it.each(["ipv4", "ipv6"] as const)(
    "shrinks to 1280 and grows to 8900 under one transfer, over %s",
    { timeout: 120_000 },
    async (family) => {
      const home = [at(0, family, 2)];
      const config = { locators: { mtu_raise_after: RAISE_AFTER } };
      await withMovers({ a: home, b: home, mtu: 9000, config }, async (movers) => {
        const { a, b, router } = movers;
        await dropIcmp(movers);
        await resize(movers, 1500);
        await cutEarly(movers);
        const [here, there] = await Promise.all([a.namespace.agent(), b.namespace.agent()]);
        await a.namespace.rate("eth0", "200mbit");
        const address = await a.daemon.lsi("b");
        const moving = here.sendTcp(address, await there.serveTcp(), Number.MAX_SAFE_INTEGER, 110_000);
        await there.arrived(5 * MEGABYTE, 30_000);
        await resize(movers, SMALL);
        const reached = performance.now();
        await there.arrived(30 * MEGABYTE, 40_000);
        console.log(
          `${family}: 25 MB after the path shrank took ${Math.round(performance.now() - reached)} ms`,
        );
        const wire = await Capture.start(router, "b0", "", 96);
        const found = a.next("path-mtu", ({ mtu }) => Number(mtu) >= LARGE, 60_000);
        await resize(movers, LARGE);
        const growing = performance.now();
        await Promise.all([found, wire.until(isLarge, "packet larger than 8000 bytes", 60_000)]);
        console.log(`${family}: found to be larger after ${Math.round(performance.now() - growing)} ms`);
        await wire.stop();
        await here.finishTcp();
        const moved = await moving;
        expect(moved.error).toBeUndefined();
        expect(moved.receivedHash).toBe(moved.sentHash);
      });
    },
  );
});

function isLarge(packet: IpPacket): boolean {
  return espPacket(packet) !== undefined && packet.length > 8000;
}
