/** A path that eats packets without a word: no link goes down, no address changes, no ICMP comes. */
import { expect, it } from "vitest";
import type { Cable } from "../../tools/lab/mobile.ts";
import { longestGap, monotonic, Pulse } from "../../tools/lab/pulse.ts";
import { at, type Mover, type Movers, withMovers } from "./mobile.ts";
import { suite } from "./support.ts";

/** The goal at the default settings is 1200 ms; a machine that runs other tests beside this one gets more. */
const FAILOVER = 2_000;
const BOTH_CABLES = [at(0, "ipv4", 2), at(1, "ipv4", 2)];

/** Drops everything that passes these cables of a host; none ends it. */
async function blackHole({ router }: Movers, host: Mover, ...cables: readonly Cable[]): Promise<void> {
  const table = "add table inet hole\ndelete table inet hole\n";
  const names = cables.map((cable) => `"${host.host.routerDevice(cable)}"`).join(", ");
  if (cables.length === 0) return router.nft(table);
  return router.nft(`${table}table inet hole {
    chain forward {
      type filter hook forward priority 0;
      iifname { ${names} } drop
      oifname { ${names} } drop
    }
  }`);
}

/** The cable that traffic to the peer leaves by. */
async function cableInUse(mover: Mover, peer: string): Promise<Cable> {
  const { path } = await mover.daemon.peer(peer);
  for (const cable of [0, 1] as const) {
    if (path?.local.includes(mover.text(at(cable, "ipv4", 2)))) return cable;
  }
  throw new Error(`${JSON.stringify(path)} is on neither cable`);
}

suite("a black hole on one of two cables", () => {
  it("is left for the other cable by itself, in both directions, whoever sends", async () => {
    await withMovers({ a: BOTH_CABLES }, async (movers) => {
      const { a, b } = movers;
      const there = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      const back = await Pulse.start(b.namespace, a.namespace, a.daemon.hit, 7000);
      const used = await cableInUse(a, "b");
      const spare = (1 - used) as Cable;
      // The spare pair must have been looked at: that is what it takes to leave at once.
      await there.beats(500);
      const since = monotonic();
      await blackHole(movers, a, used);
      await Promise.all([
        a.handedOver({ local: a.text(at(spare, "ipv4", 2)) }),
        b.handedOver({ remote: a.text(at(spare, "ipv4", 2)) }),
      ]);
      await Promise.all([there.beats(300), back.beats(300)]);
      const gaps = [longestGap(await there.stop(), since), longestGap(await back.stop(), since)];
      console.log(`failover: nothing came for ${gaps.map((gap) => gap.toFixed(0)).join(" and ")} ms`);
      for (const gap of gaps) expect(gap).toBeLessThan(FAILOVER);
    });
  });

  it("for one sender whose receiver stays silent", async () => {
    await withMovers({ a: BOTH_CABLES }, async (movers) => {
      const { a, b } = movers;
      const there = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      const used = await cableInUse(a, "b");
      await there.beats(500);
      const since = monotonic();
      await blackHole(movers, a, used);
      await a.handedOver({ local: a.text(at((1 - used) as Cable, "ipv4", 2)) });
      await there.beats(300);
      const gap = longestGap(await there.stop(), since);
      console.log(`failover of a one-way stream: nothing came for ${gap.toFixed(0)} ms`);
      expect(gap).toBeLessThan(FAILOVER);
    });
  });

  it("that comes and goes does not make traffic flap", async () => {
    await withMovers({ a: BOTH_CABLES }, async (movers) => {
      const { a, b } = movers;
      const there = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      const used = await cableInUse(a, "b");
      await there.beats(500);
      await blackHole(movers, a, used);
      await a.handedOver({ local: a.text(at((1 - used) as Cable, "ipv4", 2)) });
      const from = a.daemon.process.out.length;
      for (let i = 0; i < 3; i++) {
        await blackHole(movers, a);
        await there.beats(400);
        await blackHole(movers, a, used);
        await there.beats(400);
      }
      await there.stop();
      expect(a.events("handover", from)).toEqual([]);
    });
  });

  it("on every cable is survived: traffic flows when one of them works again", async () => {
    await withMovers({ a: BOTH_CABLES }, async (movers) => {
      const { a, b } = movers;
      const [here, far] = await Promise.all([a.namespace.agent(), b.namespace.agent()]);
      const port = await far.serveTcp();
      const moving = here.sendTcp(b.daemon.hit, port, 60_000_000, 50_000);
      await far.arrived(10_000_000);
      await blackHole(movers, a, 0, 1);
      // This is over when all paths have been dead for a while.
      await a.namespace.attempt(["ping", "-n", "-c", "1", "-W", "2", b.daemon.hit]);
      await blackHole(movers, a, 0);
      await far.arrived((await far.arrived(0)) + 5_000_000, 30_000);
      await blackHole(movers, a, 1);
      const moved = await moving;
      expect(moved.error).toBeUndefined();
      expect(moved.receivedHash).toBe(moved.sentHash);
    });
  });
});
