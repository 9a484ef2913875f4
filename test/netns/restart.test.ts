/** Daemons that are killed and started again while data flows. The kernel of neither host restarts: its TCP connections are still there. */
import { expect, it } from "vitest";
import { longestGap, monotonic, Pulse } from "../../tools/lab/pulse.ts";
import { includesOverlay, underlayCaptures } from "./leaks.ts";
import { at, type Mover, type Movers, withMovers } from "./mobile.ts";
import { suite } from "./support.ts";

/** Both daemons start on a machine that runs other tests beside them; the goal for one restart on an idle one is 1 s. */
const GAP = 15_000;

type Who = readonly ("a" | "b")[];

async function crash(movers: Movers, who: Who): Promise<number> {
  const victims: Mover[] = who.map((name) => movers[name]);
  await Promise.all(victims.map(({ daemon }) => daemon.kill()));
  const since = monotonic();
  await Promise.all(victims.map(({ daemon }) => daemon.start()));
  return since;
}

const CASES: readonly (readonly [what: string, who: Who])[] = [
  ["the sender's daemon", ["a"]],
  ["the receiver's daemon", ["b"]],
  ["both daemons", ["a", "b"]],
];

suite("kill -9 and restart", () => {
  it.each(CASES)(
    "of %s: a transfer arrives unchanged, and nothing leaks",
    { timeout: 90_000 },
    async (_, who) => {
      await withMovers({ b: [at(0, "ipv4", 2), at(0, "ipv6", 2)] }, async (movers) => {
        const { a, b } = movers;
        const captures = await underlayCaptures(movers);
        const [here, there] = await Promise.all([a.namespace.agent(), b.namespace.agent()]);
        await a.namespace.rate("eth0", "200mbit");
        const moving = here.sendTcp(await a.daemon.lsi("b"), await there.serveTcp(), 60_000_000, 80_000);
        await there.arrived(3_000_000);
        await crash(movers, who);
        await there.arrived(15_000_000, 40_000);
        await crash(movers, who);
        const moved = await moving;
        expect(moved.error).toBeUndefined();
        expect(moved.receivedHash).toBe(moved.sentHash);
        const packets = (await Promise.all(captures.map((capture) => capture.stop()))).flat();
        expect(packets.length).toBeGreaterThan(100);
        expect(
          packets.filter(includesOverlay).map(({ source, destination }) => `${source} > ${destination}`),
        ).toEqual([]);
      });
    },
  );

  it.each([
    ["the one who restarted speaks", "a", "a"],
    ["the other one speaks", "a", "b"],
  ] as const)("%s first", async (_, victim, speaker) => {
    await withMovers({}, async (movers) => {
      const [from, to] = speaker === "a" ? [movers.a, movers.b] : [movers.b, movers.a];
      const pulse = await Pulse.start(from.namespace, to.namespace, to.daemon.hit, 7000);
      await pulse.beats(300);
      const since = await crash(movers, [victim]);
      const ready = monotonic();
      await pulse.beats(200, 30_000);
      const gap = longestGap(await pulse.stop(), since - 500);
      console.log(
        `restart of ${victim} under a stream of ${speaker}: nothing came for ${gap.toFixed(0)} ms ` +
          `(the daemon took ${(ready - since).toFixed(0)} ms to be ready)`,
      );
      expect(gap).toBeLessThan(GAP);
    });
  });

  it("at another address than before: the peer is called from there", async () => {
    await withMovers({}, async (movers) => {
      const { a, b } = movers;
      const back = await Pulse.start(b.namespace, a.namespace, a.daemon.hit, 7000);
      await back.beats(200);
      await a.daemon.kill();
      await a.breakAndMake(at(1, "ipv4", 9));
      await a.daemon.start();
      await back.beats(200, 30_000);
      expect((await b.daemon.peer("a")).path?.remote).toContain(a.text(at(1, "ipv4", 9)));
      await back.stop();
    });
  });
});
