/** Restarts under a service manager while data flows: the next hipd goes on with the associations of the one before. */
import { expect, it } from "vitest";
import { Pulse } from "../../tools/lab/pulse.ts";
import type { Mover } from "./mobile.ts";
import { at } from "./mobile.ts";
import { announce, command, restartUnderStream, withServices } from "./serviced.ts";
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
    await withServices(async (movers) => {
      const { a, b } = movers;
      const options = { what: "restarts", count: 20, bytes: 150_000_000, restart };
      expect((await restartUnderStream(movers, options)).longest).toBeLessThan(GAP);
      for (const { daemon } of [a, b]) {
        expect((await daemon.peer(daemon === a.daemon ? "b" : "a")).state).toBe("ESTABLISHED");
      }
      // Each successor says that it took it over.
      for (const mover of [a, b]) expect(mover.events("taken-over").length).toBe(10);
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
