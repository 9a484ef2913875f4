/** Restarts under a service manager while data flows: the next hipd goes on with the associations of the one before. */
import { expect, it } from "vitest";
import { longestGap, lostOf, monotonic, Pulse } from "../../tools/lab/pulse.ts";
import type { Mover } from "./mobile.ts";
import { at } from "./mobile.ts";
import { announce, command, withServices } from "./serviced.ts";
import { suite } from "./support.ts";

/** The longest time without a datagram, in milliseconds: the goal on a machine that runs nothing else is 100. */
const GAP = 1_000;

/** As systemd does it: ExecStop= announces, then SIGTERM, then the next one. */
async function restart(mover: Mover): Promise<void> {
  await announce(mover);
  await command(mover, "restart", "ready");
}

suite("take-over", () => {
  it("ten restarts of each end: no exchange, no lost byte, and hardly a gap", {
    timeout: 120_000,
  }, async () => {
    await withServices(async ({ a, b }) => {
      const [here, there] = await Promise.all([a.namespace.agent(), b.namespace.agent()]);
      await a.namespace.rate("eth0", "200mbit");
      const moving = here.sendTcp(await a.daemon.lsi("b"), await there.serveTcp(), 150_000_000, 100_000);
      const pulse = await Pulse.start(b.namespace, a.namespace, a.daemon.hit, 7000);
      await there.arrived(1_000_000);
      const gaps: number[] = [];
      for (let i = 0; i < 20; i++) {
        const since = monotonic();
        await restart(i % 2 === 0 ? a : b);
        await pulse.beats(100);
        gaps.push(longestGap(await pulse.report(), since));
      }
      const moved = await moving;
      expect(moved.error).toBeUndefined();
      expect(moved.receivedHash).toBe(moved.sentHash);
      const report = await pulse.stop();
      const sorted = gaps.toSorted((x, y) => x - y);
      console.log(
        `20 restarts under a stream: nothing came for ${sorted[10]?.toFixed(0)} ms in the median, ` +
          `${sorted.at(-1)?.toFixed(0)} ms at most; ${lostOf(report)} of ${report.highest} datagrams lost`,
      );
      expect(sorted.at(-1)).toBeLessThan(GAP);
      expect(report.duplicates).toBe(0);
      for (const { daemon } of [a, b]) {
        expect((await daemon.peer(daemon === a.daemon ? "b" : "a")).state).toBe("ESTABLISHED");
      }
      // The first association is the only one: each successor says that it took it over.
      for (const mover of [a, b]) {
        expect(mover.events("association-established").length).toBe(1);
        expect(mover.events("taken-over").length).toBe(10);
        expect(mover.events("takeover-refused").length).toBe(0);
      }
    });
  });

  it("a restart that nobody announced, and a crash, make associations anew", async () => {
    await withServices(async ({ a, b }) => {
      await command(a, "restart", "ready");
      expect((await a.daemon.ctl("connect", "b")).status).toBe(0);
      expect(a.events("taken-over").length).toBe(0);
      await command(a, "kill", "ended");
      const ready = await command(a, "start", "ready");
      expect(ready["run"]).toBe(3);
      expect((await a.daemon.ctl("connect", "b")).status).toBe(0);
      expect(a.events("taken-over").length).toBe(0);
      expect(b.events("association-established").length).toBeGreaterThan(1);
    });
  });

  it("what was taken once is not taken again, though the successor crashed at once", async () => {
    await withServices(async ({ a }) => {
      await restart(a);
      await command(a, "kill", "ended");
      await command(a, "start", "ready");
      expect(a.events("taken-over").length).toBe(1);
      expect((await a.daemon.ctl("connect", "b")).status).toBe(0);
    });
  });

  it("a successor with other settings of the data plane begins anew, and says why", async () => {
    await withServices(async ({ a }) => {
      a.daemon.config["network"] = { offloads: ["tso"] };
      a.daemon.writeConfig();
      const refused = a.next("takeover-refused");
      await restart(a);
      expect((await refused)["reason"]).toMatch(/"offloads" changed/);
      expect((await a.daemon.ctl("connect", "b")).status).toBe(0);
    });
  });

  it("moves after a take-over as before it", async () => {
    await withServices(async ({ a, b }) => {
      const pulse = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      await restart(a);
      const moved = a.handedOver({ local: a.text(at(1, "ipv4", 9)) });
      await a.breakAndMake(at(1, "ipv4", 9));
      await moved;
      await restart(b);
      const back = a.handedOver({ local: a.text(at(0, "ipv4", 2)) });
      await a.breakAndMake(at(0, "ipv4", 2));
      await back;
      await pulse.beats(200);
      await pulse.stop();
      expect(a.events("association-established").length).toBe(1);
    });
  });
});
