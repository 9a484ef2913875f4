/** A host behind a NAT that forgets, changes its mind and starts anew, none of which it tells. */
import { expect, it } from "vitest";
import { Capture } from "../../tools/lab/capture.ts";
import { hipType } from "../../tools/lab/packet.ts";
import { longestGap, lostOf, monotonic, Pulse } from "../../tools/lab/pulse.ts";
import { type Movers, type MoversOptions, meet, withMovers } from "./mobile.ts";
import { suite } from "./support.ts";

const LONG = process.env["HIPD_LONG"] === "1";
const NOTIFY = 17;
/** A machine that runs other tests beside this one gets more than the two round trips that it takes. */
const GAP = 2_000;

/**
 * The router translates what the first host sends and lets in answers only. Another `zone` makes it forget all mappings:
 * connection tracking looks up flows by zone.
 */
async function translate({ router }: Movers, mapped: string, zone: number): Promise<void> {
  await router.nft(`add table ip nat
    delete table ip nat
    table ip nat {
      chain forget {
        type filter hook prerouting priority -300;
        ct zone set ${zone}
      }
      chain translate {
        type nat hook postrouting priority 100;
        oifname "b0" udp sport 10500 snat to ${mapped}
      }
      chain answers {
        type filter hook forward priority 0;
        iifname "b0" ct state new drop
      }
    }`);
}

const OPTIONS: MoversOptions = { idle: true };

async function start(movers: Movers, mapped: string): Promise<void> {
  await translate(movers, mapped, 1);
  await meet(movers);
}

suite("behind a NAT", () => {
  it("traffic survives other ports and other addresses of the NAT, without notice", async () => {
    await withMovers(OPTIONS, async (movers) => {
      const { a, b } = movers;
      await start(movers, "198.51.100.1:40001");
      const there = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      const back = await Pulse.start(b.namespace, a.namespace, a.daemon.hit, 7000);
      expect((await b.daemon.peer("a")).path?.remote).toBe("198.51.100.1:40001");
      let zone = 2;
      for (const mapped of ["198.51.100.1:40002", "198.51.100.9:40002", "198.51.100.1:40001"]) {
        const [address = ""] = mapped.split(":");
        const moved = b.handedOver({ remote: address });
        const since = monotonic();
        await translate(movers, mapped, zone++);
        await moved;
        await Promise.all([there.beats(200), back.beats(200)]);
        const [one, other] = [await there.report(), await back.report()];
        const gaps = [longestGap(one, since), longestGap(other, since)];
        console.log(
          `rebinding to ${mapped}: nothing came for ${gaps.map((gap) => gap.toFixed(1)).join(" and ")} ms, ` +
            `${lostOf(one)} and ${lostOf(other)} lost until now`,
        );
        for (const gap of gaps) expect(gap).toBeLessThan(GAP);
        expect((await b.daemon.peer("a")).path?.remote).toBe(mapped);
      }
      // What the host behind the NAT sends is never lost: only answers need the mapping.
      expect(lostOf(await there.stop())).toBe(0);
      await back.stop();
      expect(a.events("association-established")).toHaveLength(1);
      expect(b.events("association-established")).toHaveLength(1);
    });
  });

  it("a transfer survives the NAT's restart", async () => {
    await withMovers(OPTIONS, async (movers) => {
      const { a, b, router } = movers;
      await start(movers, "198.51.100.1:40001");
      const [here, far] = await Promise.all([a.namespace.agent(), b.namespace.agent()]);
      const moving = here.sendTcp(b.daemon.hit, await far.serveTcp(), 80_000_000, 50_000);
      await far.arrived(10_000_000);
      // While it is down nothing passes.
      await router.nft(
        "table ip down { chain forward { type filter hook forward priority -1; policy drop; }; }",
      );
      await a.namespace.attempt(["ping", "-n", "-c", "1", "-W", "1", b.daemon.hit]);
      await translate(movers, "198.51.100.1:50007", 2);
      await router.nft("delete table ip down");
      const moved = await moving;
      expect(moved.error).toBeUndefined();
      expect(moved.receivedHash).toBe(moved.sentHash);
      expect(b.events("association-established")).toHaveLength(1);
    });
  });

  (LONG ? it : it.skip)(
    "a stream inwards alone also finds its host again of 20 s (needs HIPD_LONG=1)",
    async () => {
      await withMovers(OPTIONS, async (movers) => {
        const { a, b } = movers;
        await start(movers, "198.51.100.1:40001");
        const back = await Pulse.start(b.namespace, a.namespace, a.daemon.hit, 7000);
        await back.beats(500);
        const since = monotonic();
        await translate(movers, "198.51.100.1:40002", 2);
        // The next keepalive comes within 15 s, and is the first that can open the new mapping.
        await back.until((report) => longestGap(report, since) > 100, 25_000);
        const report = await back.stop();
        console.log(`a one-way stream inwards: nothing came for ${longestGap(report, since).toFixed(0)} ms`);
      });
    },
  );

  (LONG ? it : it.skip)(
    "keepalives every 15 s when idle, and none without a NAT in 40 s (needs HIPD_LONG=1)",
    { timeout: 90_000 },
    async () => {
      await Promise.all(
        [true, false].map((nat) =>
          withMovers(OPTIONS, async (movers) => {
            const { router } = movers;
            if (nat) await start(movers, "198.51.100.1:40001");
            else await meet(movers);
            const capture = await Capture.start(router, "a0");
            const begun = monotonic();
            const notify = capture.until((packet) => hipType(packet) === NOTIFY, "NOTIFY", 38_000);
            if (!nat) return void (await expect(notify).rejects.toThrow("no NOTIFY"));
            await notify;
            const first = monotonic() - begun;
            console.log(`the first keepalive came after ${(first / 1000).toFixed(1)} s`);
            expect(first).toBeGreaterThan(10_000);
            expect(first).toBeLessThan(20_000);
          }),
        ),
      );
    },
  );
});
