/** Addresses change under a stream of one datagram per millisecond in each direction. */
import { expect, it } from "vitest";
import { longestGap, lostOf, monotonic, Pulse, type PulseReport } from "../../tools/lab/pulse.ts";
import { type At, at, type Mover, type Movers, withMovers } from "./mobile.ts";
import { suite } from "./support.ts";

const PORT = 7000;
/** The goal is one round trip and 20 ms; a machine that runs other tests beside this one gets more. */
const GAP = 3_000;

/** Streams in both directions. */
async function pulses({ a, b }: Movers): Promise<readonly [Pulse, Pulse]> {
  return [
    await Pulse.start(a.namespace, b.namespace, b.daemon.hit, PORT),
    await Pulse.start(b.namespace, a.namespace, await b.daemon.lsi("a"), PORT),
  ];
}

function show(what: string, reports: readonly PulseReport[]): void {
  for (const [i, report] of reports.entries()) {
    const lost = lostOf(report);
    const gap = longestGap(report).toFixed(1);
    console.log(
      `${what}, ${i === 0 ? "a to b" : "b to a"}: ${report.received} received, ${lost} lost, longest gap ${gap} ms ` +
        `(longest pause of the sender ${report.pause.toFixed(1)} ms)`,
    );
  }
}

/** The new address is there and used by both before the old one goes. */
async function makeBeforeBreak(mover: Mover, other: Mover, to: At): Promise<void> {
  const old = [...mover.addresses];
  const there = Promise.all([
    mover.handedOver({ local: mover.text(to) }),
    other.handedOver({ remote: mover.text(to) }),
  ]);
  const told = other.next("peer-locators", ({ locators }) => String(locators).includes(mover.text(to)));
  await mover.change({ add: [to] });
  await told;
  if (old.every(({ family }) => family === to.family)) await mover.deprecate(...old);
  else await mover.handover(other.namespace.label, to);
  await there;
  await mover.change({ del: old });
}

/** To other addresses of both cables and families, and home. */
const TOUR = [at(0, "ipv4", 3), at(0, "ipv6", 3), at(1, "ipv4", 4), at(1, "ipv6", 4), at(0, "ipv4", 2)];

suite("make before break", () => {
  it("loses nothing, in either direction, within and between families", async () => {
    await withMovers({ b: [at(0, "ipv4", 2), at(0, "ipv6", 2)] }, async (movers) => {
      const { a, b } = movers;
      const both = await pulses(movers);
      for (const to of TOUR) {
        await makeBeforeBreak(a, b, to);
        await Promise.all(both.map((pulse) => pulse.beats(200)));
      }
      const reports = await Promise.all(both.map((pulse) => pulse.stop()));
      show("make before break", reports);
      for (const report of reports) {
        expect(lostOf(report), JSON.stringify(report.missing)).toBe(0);
        expect(report.duplicates).toBe(0);
      }
    });
  });
});

suite("break before make", () => {
  it("traffic flows again one round trip after the new address is there", async () => {
    await withMovers({ b: [at(0, "ipv4", 2), at(0, "ipv6", 2)] }, async (movers) => {
      const { a } = movers;
      const both = await pulses(movers);
      const gaps: number[] = [];
      for (const to of TOUR) {
        const since = monotonic();
        await a.breakAndMake(to);
        await Promise.all(both.map((pulse) => pulse.beats(200)));
        for (const pulse of both) gaps.push(longestGap(await pulse.report(), since));
      }
      const reports = await Promise.all(both.map((pulse) => pulse.stop()));
      show("break before make", reports);
      console.log(`gaps in ms: ${gaps.map((gap) => gap.toFixed(1)).join(" ")}`);
      for (const gap of gaps) expect(gap).toBeLessThan(GAP);
    });
  });
});
