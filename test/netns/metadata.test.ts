/** A public address that the machine itself cannot see: the metadata service knows it, and the network translates to it. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { Pulse } from "../../tools/lab/pulse.ts";
import type { Background } from "../../tools/lab/shell.ts";
import { type Movers, withMovers } from "./mobile.ts";
import { suite, withPair } from "./support.ts";

const SERVICE = "169.254.169.254";
const INSTANCE = "i-0123456789abcdef0";
const MAC = "02:00:00:00:00:01";

/** The router translates between the first host's address and these public ones; the host itself is not reachable. */
async function floating({ router, a }: Movers, ...addresses: readonly string[]): Promise<void> {
  const inside = a.addresses.map((one) => a.text(one))[0];
  const [first = "192.0.2.250"] = addresses;
  await router.nft(`add table ip floating
    delete table ip floating
    table ip floating {
      chain in {
        type filter hook prerouting priority -400;
        iifname "b0" ip daddr 192.0.2.0/24 drop
        ${addresses.map((one) => `iifname "b0" ip daddr ${one} ip daddr set ${inside} notrack`).join("\n")}
      }
      chain out {
        type filter hook postrouting priority 300;
        oifname "b0" ip saddr ${inside} ip saddr set ${first}
      }
    }`);
}

function pages(provider: "openstack" | "aws", address: string): Readonly<Record<string, string>> {
  if (provider === "openstack") {
    return {
      "/openstack/latest/meta_data.json": JSON.stringify({ uuid: INSTANCE }),
      "/latest/meta-data/public-ipv4": address,
    };
  }
  const macs = "/latest/meta-data/network/interfaces/macs/";
  return {
    "/latest/meta-data/instance-id": INSTANCE,
    [macs]: `${MAC}/`,
    [`${macs}${MAC}/public-ipv4s`]: address,
  };
}

async function service({ a }: Movers): Promise<Background> {
  await a.namespace.ip([`addr add ${SERVICE}/32 dev lo`]);
  const file = join(import.meta.dirname, "../../tools/lab/metadata-service.ts");
  const program = a.namespace.spawn([process.execPath, file, SERVICE]);
  await program.line((line) => line === "listening");
  return program;
}

function say(program: Background, what: Readonly<Record<string, string>>): void {
  program.child.stdin.write(`${JSON.stringify(what)}\n`);
}

suite("a floating IP", () => {
  it.each(["openstack", "aws"] as const)(
    "of %s is announced, used, and followed when it changes",
    async (provider) => {
      const config = { locators: { metadata: provider, metadata_interval: "5s" } };
      await withMovers({ idle: true, config }, async (movers) => {
        const { a, b } = movers;
        await floating(movers, "198.51.100.7");
        const cloud = await service(movers);
        say(cloud, pages(provider, "198.51.100.7"));
        await cloud.line((line) => line === "changed");
        await Promise.all([a.daemon.start(), b.daemon.start()]);
        await cloud.line((line) => line.startsWith("GET") && line.endsWith(" 200"));
        const told = b.next("peer-locators", ({ locators }) => String(locators).includes("198.51.100.7"));
        expect((await a.daemon.ctl("connect", "b")).status).toBe(0);
        await told;
        expect((await b.daemon.peer("a")).path?.remote).toBe("198.51.100.7:10500");
        expect(await a.daemon.event("cloud-metadata")).toMatchObject({ instance: INSTANCE });
        const { own } = await a.daemon.json<{ own: readonly { source: string; address: string }[] }>(
          "locator",
          "list",
        );
        expect(own.filter(({ source }) => source === "cloud").map(({ address }) => address)).toEqual([
          "198.51.100.7:10500",
        ]);

        const back = await Pulse.start(b.namespace, a.namespace, a.daemon.hit, 7000);
        await floating(movers, "198.51.100.7", "198.51.100.8");
        const again = b.next("peer-locators", ({ locators }) => String(locators).includes("198.51.100.8"));
        say(cloud, pages(provider, "198.51.100.8"));
        await again;
        const moved = b.handedOver({ remote: "198.51.100.8" });
        await floating(movers, "198.51.100.8");
        await moved;
        await back.beats(300);
        await back.stop();
        expect((await b.daemon.peer("a")).path?.remote).toBe("198.51.100.8:10500");
        expect(b.events("association-established")).toHaveLength(1);
      });
    },
  );

  it("that nobody tells costs nothing: the daemon starts as fast, and says why", async () => {
    await withPair({ daemonA: { config: { locators: { metadata: "aws" } } } }, async ({ a, b }) => {
      const told = await a.daemon.event("metadata-unreachable");
      expect(told).toMatchObject({ cloud: "aws", level: "warn" });
      expect((await b.daemon.ctl("connect", "a")).status).toBe(0);
    });
  });
});
