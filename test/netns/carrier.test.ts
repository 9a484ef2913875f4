/** Restarts with a carrier between the two hipds: packets flow while no hipd runs, and no sequence number is used twice, whoever dies. */
import { expect, it } from "vitest";
import { Capture } from "../../tools/lab/capture.ts";
import { HIP_PORT, type IpPacket, UDP } from "../../tools/lab/packet.ts";
import { longestGap, lostOf, monotonic, Pulse } from "../../tools/lab/pulse.ts";
import type { Background } from "../../tools/lab/shell.ts";
import { at, type Mover } from "./mobile.ts";
import {
  announce,
  carrierSocket,
  command,
  leaveToCarrier,
  manager,
  restartCarried,
  restartUnderStream,
  runningPid,
  startCarrier,
  withServices,
} from "./serviced.ts";
import { suite } from "./support.ts";

/** The longest time without a datagram, in milliseconds, on a machine that runs other tests as well. The goal is 30. */
const GAP = 1_000;
/** The same, as hipd and its carrier measure it: in which nobody serves the device and the sockets. */
const UNSERVED = 100;
const RESTARTS = 12;

/** Milliseconds without hipd. */
const ALONE = 1_500;

/** ESP packets by SPI and sequence number that were sent more than once. The outer headers stand before them. */
function repeated(packets: readonly IpPacket[]): readonly string[] {
  const seen = new Set<string>();
  const twice: string[] = [];
  for (const { protocol, sourcePort, payload, source } of packets) {
    if (protocol !== UDP || sourcePort !== HIP_PORT || payload.length < 16) continue;
    const view = new DataView(payload.buffer, payload.byteOffset + 8, 8);
    const spi = view.getUint32(0);
    if (spi === 0) continue;
    const key = `${source} ${spi} ${view.getUint32(4)}`;
    if (seen.has(key)) twice.push(key);
    seen.add(key);
  }
  expect(seen.size).toBeGreaterThan(100);
  return twice;
}

function says(carrier: Background, event: string): Promise<string> {
  return carrier.line((line) => line.includes(`"event":"${event}"`));
}

async function replays(...movers: readonly Mover[]): Promise<number> {
  const counts = await Promise.all(
    movers.map(({ daemon }) => daemon.count(/drop_esp_(replay|stale|auth)_total/)),
  );
  return counts.reduce((sum, one) => sum + one, 0);
}

suite("take-over with a carrier", () => {
  it(`${RESTARTS} restarts: no exchange, no lost byte, no number twice, and hardly a gap`, {
    timeout: 120_000,
  }, async () => {
    await withServices(async (movers) => {
      const { a, b } = movers;
      const capture = await Capture.start(a.namespace, "eth0", `udp port ${HIP_PORT}`, 96);
      const { longest, pulse } = await restartUnderStream(movers, {
        what: "restarts with a carrier",
        count: RESTARTS,
        bytes: 100_000_000,
        restart: restartCarried,
      });
      expect(repeated(await capture.stop())).toEqual([]);
      expect(await replays(a, b)).toBe(0);
      // Where others want the processors, there are gaps without restarts as well.
      expect(longest).toBeLessThan(GAP + 5 * pulse.pause);
      const unserved = [a, b]
        .flatMap((mover) => mover.events("took-over"))
        .map(({ millis }) => Number(millis));
      console.log(`of which nobody served for ${Math.max(...unserved)} ms at most`);
      expect(Math.max(...unserved)).toBeLessThan(UNSERVED);
      for (const mover of [a, b])
        expect(mover.events("took-over").map(({ by }) => by)).toEqual(Array(RESTARTS / 2).fill("carrier"));
    });
  });

  it("packets flow while no hipd runs, and what peers ask meanwhile is answered by the next one", async () => {
    await withServices(async ({ a, b }) => {
      const there = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      const back = await Pulse.start(b.namespace, a.namespace, a.daemon.hit, 7001);
      const since = monotonic();
      const carrier = await leaveToCarrier(a);
      await Promise.all([there.beats(ALONE), back.beats(ALONE)]);
      await command(a, "start", "ready");
      await says(carrier, "carry-handed");
      for (const pulse of [there, back]) {
        await pulse.beats(100);
        const report = await pulse.report();
        expect(longestGap(report, since)).toBeLessThan(GAP + 5 * report.pause);
        expect(lostOf(report)).toBe(0);
      }
      const [taken] = a.events("took-over");
      expect(taken).toMatchObject({ by: "carrier", associations: 1 });
      expect(Number(taken?.["carried"])).toBeGreaterThanOrEqual(ALONE);
      expect(Number(taken?.["millis"])).toBeLessThan(UNSERVED);
      await carrier.stop();

      // The peer moves while nobody can answer its UPDATE.
      const second = await leaveToCarrier(a);
      const moved = b.handedOver({ local: b.text(at(1, "ipv4", 9)) });
      await b.breakAndMake(at(1, "ipv4", 9));
      await command(a, "start", "ready");
      await moved;
      await Promise.all([there.beats(100), back.beats(100)]);
      expect(a.events("association-established").length).toBe(1);
      expect(await replays(a, b)).toBe(0);
      await second.stop();
      await Promise.all([there.stop(), back.stop()]);
    });
  });

  it("sockets for IP protocols are carried by a process that may not open any", async () => {
    await withServices(
      async ({ a, b }) => {
        const pulse = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
        expect((await a.daemon.peer("b")).path?.carrier).toBe("none");
        const carrier = await leaveToCarrier(a);
        await pulse.beats(300);
        await command(a, "start", "ready");
        await pulse.beats(100);
        expect(a.events("took-over")).toMatchObject([{ by: "carrier" }]);
        expect(lostOf(await pulse.stop())).toBe(0);
        expect(await replays(a, b)).toBe(0);
        await carrier.stop();
      },
      { peer: { encapsulation: "none" }, config: { network: { encapsulation: "none" } } },
    );
  });

  it("a carrier that is killed takes its numbers with it: associations are made anew", async () => {
    await withServices(async ({ a, b }) => {
      const capture = await Capture.start(a.namespace, "eth0", `udp port ${HIP_PORT}`, 96);
      const pulse = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      const carrier = await leaveToCarrier(a);
      await pulse.beats(200);
      process.kill(runningPid(carrier), "SIGKILL");
      const refused = a.next("takeover-refused");
      await command(a, "start", "ready");
      expect((await refused)["reason"]).toMatch(/its carrier (has ended|does not hear)/);
      expect((await a.daemon.ctl("connect", "b")).status).toBe(0);
      await pulse.beats(200);
      expect(a.events("took-over")).toEqual([]);
      expect(repeated(await capture.stop())).toEqual([]);
      await pulse.stop();
      await carrier.stop();
    });
  });

  it("a carrier that sleeps is too late: before it took anything, or with what it has", async () => {
    await withServices(async ({ a, b }) => {
      const capture = await Capture.start(a.namespace, "eth0", `udp port ${HIP_PORT}`, 96);
      const pulse = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      const early = await startCarrier(a);
      process.kill(runningPid(early), "SIGSTOP");
      await announce(a, "--carrier", carrierSocket(a));
      const restarted = manager(a, "ready");
      await command(a, "restart", "started");
      await restarted;
      // It never had the ticket.
      expect(a.events("took-over").map(({ by }) => by)).toEqual(["store"]);
      expect(a.events("not-carried").length).toBe(1);
      // Nor will it keep the sockets.
      await early.line((line) => line.includes('"signal":9'));
      await pulse.beats(200);

      const late = await leaveToCarrier(a);
      await pulse.beats(200);
      process.kill(runningPid(late), "SIGSTOP");
      const refused = a.next("takeover-refused");
      await command(a, "start", "ready");
      expect((await refused)["reason"]).toMatch(/has not answered/);
      // It would have kept the sockets.
      await late.line((line) => line.includes('"signal":9'));
      expect((await a.daemon.ctl("connect", "b")).status).toBe(0);
      await pulse.beats(200);
      expect(await replays(a, b)).toBe(0);
      expect(repeated(await capture.stop())).toEqual([]);
      await pulse.stop();
      await Promise.all([early.stop(), late.stop()]);
    });
  });

  it("ends, and serves nobody any more, when the manager forgets, and when its successor crashes", async () => {
    await withServices(async ({ a, b }) => {
      const pulse = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      const carrier = await leaveToCarrier(a);
      await pulse.beats(100);
      a.daemon.process.child.stdin.write("forget\n");
      expect(await says(carrier, "carry-ended")).toContain("hipd was stopped");
      await command(a, "start", "ready");
      expect((await a.daemon.ctl("connect", "b")).status).toBe(0);
      expect(a.events("took-over")).toEqual([]);
      await restartCarried(a);
      expect(a.events("took-over").length).toBe(1);
      await command(a, "kill", "ended");
      await command(a, "start", "ready");
      expect(a.events("took-over").length).toBe(1);
      expect((await a.daemon.ctl("connect", "b")).status).toBe(0);
      await pulse.beats(100);
      await pulse.stop();
      await carrier.stop();
    });
  });
});
