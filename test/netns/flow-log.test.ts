/** The flow log of two real daemons: what TCP, UDP and ping leave behind, turned on and off by a reload. */
import { expect, it } from "vitest";
import { ping, suite, withPair } from "./support.ts";

interface Line {
  readonly event: string;
  readonly direction: "in" | "out";
  readonly protocol: string;
  readonly family: string;
  readonly localPort: number;
  readonly peerPort: number;
  readonly packets: number;
  readonly bytes: number;
  readonly first: string;
  readonly last: string;
  readonly end: string;
  readonly peer: string;
  readonly hit: string;
}

const MEGABYTE = 1_000_000;
const LOGGED = { config: { log: { level: "info", flows: true } } };

suite("the flow log", () => {
  it("tells of each flow by the peer's name, in both directions and families, and of nothing when it is off", async () => {
    await withPair({ daemonA: LOGGED }, async ({ a, b }) => {
      const flows = (): readonly Line[] =>
        a.daemon.process.out
          .filter((line) => line.includes('"event":"flow"'))
          .map((line) => JSON.parse(line) as Line);
      const [here, there] = await Promise.all([a.daemon.namespace.agent(), b.daemon.namespace.agent()]);
      const port = await there.serveTcp();
      const moved = await here.sendTcp(await a.daemon.lsi("b"), port, 5 * MEGABYTE);
      expect(moved.error).toBeUndefined();
      const started = Date.now();
      // TCP said that it ended: these come by themselves.
      await a.daemon.process.until(
        () => (flows().length >= 2 ? true : undefined),
        15_000,
        () => `waiting for two flows; there are ${flows().length}`,
      );
      expect(Date.now() - started).toBeLessThan(10_000);
      const [out, back] = ["out", "in"].map((way) => flows().find(({ direction }) => direction === way));
      expect(out).toMatchObject({
        protocol: "tcp",
        family: "lsi",
        peer: "b",
        hit: b.daemon.hit,
        peerPort: port,
        end: "closed",
      });
      expect(back).toMatchObject({ peerPort: port, localPort: out?.localPort, peer: "b", end: "closed" });
      expect(out?.bytes).toBeGreaterThan(5 * MEGABYTE);
      expect(out?.bytes).toBeLessThan(6 * MEGABYTE);
      expect(out?.packets).toBeGreaterThan((5 * MEGABYTE) / 1500);
      expect(Date.parse(out?.last ?? "")).toBeGreaterThanOrEqual(Date.parse(out?.first ?? ""));
      expect(Math.abs(Date.parse(out?.last ?? "") - started)).toBeLessThan(5_000);

      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
      const udp = await here.sendUdp(b.daemon.hit, await there.serveUdp(), { count: 20, bytes: 100 });
      expect(udp.received).toBe(20);
      a.daemon.config["log"] = { ...a.daemon.config["log"], flows: false };
      a.daemon.writeConfig();
      expect((await a.daemon.ctl("reload")).status).toBe(0);
      const later = flows().slice(2);
      expect(
        later.map(({ protocol, direction, family, end }) => [protocol, direction, family, end]).sort(),
      ).toEqual([
        ["icmp", "in", "hit", "stopped"],
        ["icmp", "out", "hit", "stopped"],
        ["udp", "in", "hit", "stopped"],
        ["udp", "out", "hit", "stopped"],
      ]);
      for (const flow of later.filter(({ protocol }) => protocol === "udp")) {
        expect([flow.packets, flow.bytes]).toEqual([20, 20 * (40 + 8 + 100)]);
      }
      for (const flow of later.filter(({ protocol }) => protocol === "icmp")) expect(flow.packets).toBe(3);

      await here.sendTcp(b.daemon.hit, port, MEGABYTE);
      await a.daemon.ctl("reload");
      expect(flows()).toHaveLength(6);
      // No line of the other daemon, which never was told to log flows.
      expect(b.daemon.process.out.filter((line) => line.includes('"event":"flow"'))).toEqual([]);
    });
  });
});
