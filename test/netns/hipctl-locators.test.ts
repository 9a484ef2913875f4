/** hipctl locator and hipctl handover against running daemons: what they say is what happens on the wire. */
import { expect, it } from "vitest";
import type { Locators } from "../../tools/lab/daemon.ts";
import { Pulse } from "../../tools/lab/pulse.ts";
import { at, type Mover, withMovers } from "./mobile.ts";
import { suite } from "./support.ts";

const CABLES = [at(0, "ipv4", 2), at(1, "ipv4", 2), at(0, "ipv6", 2)];

function locators({ daemon }: Mover, peer?: string): Promise<Locators> {
  return daemon.json<Locators>("locator", "list", ...(peer === undefined ? [] : [peer]));
}

suite("hipctl locator and handover", () => {
  it("list both sides, each with state, source and round trip", async () => {
    await withMovers({ a: CABLES }, async ({ a, b }) => {
      await b.daemon.event("peer-locators");
      const { own } = await locators(a);
      expect(own.filter(({ state }) => state === "offered").map(({ address }) => address)).toEqual(
        expect.arrayContaining(["192.0.2.2:10500", "192.0.2.130:10500", "[2001:db8:1::2]:10500"]),
      );
      expect(own.filter(({ preferred }) => preferred)).toHaveLength(1);
      const [peer] = (await locators(b, "a")).peers;
      expect(peer?.name).toBe("a");
      const used = peer?.locators.filter(({ inUse }) => inUse) ?? [];
      expect(used).toHaveLength(1);
      expect(used[0]?.state).toBe("ACTIVE");
      const text = await b.daemon.ctl("locator", "list", "a");
      expect(text.status).toBe(0);
      expect(text.stdout).toContain("192.0.2.130:10500");
      expect(text.stdout).toMatch(/ACTIVE/);
    });
  });

  it("move by hand, at once and without a loss, and stay there", async () => {
    await withMovers({ a: CABLES }, async ({ a, b }) => {
      const pulse = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      await pulse.beats(300);
      for (const place of [at(1, "ipv4", 2), at(0, "ipv4", 2), at(1, "ipv4", 2)]) {
        const followed = b.handedOver({ remote: a.text(place) });
        await a.handover("b", place);
        expect((await a.daemon.peer("b")).path?.local).toBe(`${a.text(place)}:10500`);
        await followed;
        await pulse.beats(200);
      }
      const report = await pulse.stop();
      expect(report.missing).toEqual([]);
      const nowhere = await a.daemon.ctl("handover", "b", "--from", "192.0.2.77");
      expect(nowhere.status).not.toBe(0);
      expect(nowhere.stderr).toContain("192.0.2.77");
    });
  });

  it("add, remove and prefer tell the peer", async () => {
    await withMovers({ a: CABLES }, async ({ a, b }) => {
      const added = b.next("peer-locators", ({ locators: set }) => String(set).includes("198.51.100.77"));
      expect((await a.daemon.ctl("locator", "add", "198.51.100.77")).status).toBe(0);
      await added;
      const removed = b.next("peer-locators", ({ locators: set }) => !String(set).includes("198.51.100.77"));
      expect((await a.daemon.ctl("locator", "remove", "198.51.100.77")).status).toBe(0);
      await removed;
      const moved = b.handedOver({ remote: "192.0.2.130" });
      expect((await a.daemon.ctl("locator", "prefer", "192.0.2.130")).status).toBe(0);
      await moved;
      expect((await a.daemon.ctl("locator", "remove", "203.0.113.99")).status).not.toBe(0);
    });
  });
});
