/** One TCP stream with a checked hash while both ends move again and again, IPv4 and IPv6 in turns. */
import { expect, it } from "vitest";
import type { Cable, Family } from "../../tools/lab/mobile.ts";
import { type At, at, type Mover, withMovers } from "./mobile.ts";
import { suite } from "./support.ts";

const LONG = process.env["HIPD_LONG"] === "1";
const MOVES = LONG ? 100 : 20;
/** What must arrive between two moves. */
const BYTES_PER_MOVE = 10_000_000;
const LIMIT = LONG ? 600_000 : 120_000;

/** Every move goes somewhere new on the other cable. */
function place(move: number, family: Family): At {
  return at((move % 2) as Cable, family, 2 + (move % 100));
}

/** One end has one address, whose family changes with each of its moves; the other has both, and changes both. */
async function move(number: number, single: Mover, double: Mover): Promise<void> {
  const family: Family = (number >> 1) % 2 === 0 ? "ipv6" : "ipv4";
  if (number % 2 === 0) {
    const to = place(number, family);
    // Break before make in the first half of each four, make before break in the second.
    if (number % 8 < 4) return single.breakAndMake(to);
    const old = [...single.addresses];
    const moved = Promise.all([
      single.handedOver({ local: single.text(to) }),
      double.handedOver({ remote: single.text(to) }),
    ]);
    const told = double.next("peer-locators", ({ locators }) => String(locators).includes(single.text(to)));
    await single.change({ add: [to] });
    await told;
    await single.handover(double.namespace.label, to);
    await moved;
    return single.change({ del: old });
  }
  return double.breakAndMake(place(number, "ipv4"), place(number, "ipv6"));
}

suite("many moves", () => {
  if (!LONG) it.skip("1 GB through 100 moves (needs HIPD_LONG=1)", () => {});

  it(`more than ${(MOVES * BYTES_PER_MOVE) / 1e6} MB arrive unchanged through ${MOVES} moves of both ends`, {
    timeout: LIMIT,
  }, async () => {
    const home = [at(0, "ipv4", 110), at(0, "ipv6", 110)];
    await withMovers({ a: home.slice(0, 1), b: home }, async ({ a, b }) => {
      const [here, there] = await Promise.all([a.namespace.agent(), b.namespace.agent()]);
      const begun = performance.now();
      const port = await there.serveTcp();
      const moving = here.sendTcp(await a.daemon.lsi("b"), port, Number.MAX_SAFE_INTEGER, LIMIT - 10_000);
      let bytes = await there.arrived(BYTES_PER_MOVE);
      for (let number = 0; number < MOVES; number++) {
        await move(number, a, b);
        bytes = await there.arrived((await there.arrived(0)) + BYTES_PER_MOVE, 30_000);
      }
      await here.finishTcp();
      const moved = await moving;
      expect(moved.error).toBeUndefined();
      expect(moved.receivedBytes).toBe(moved.bytes);
      expect(moved.bytes).toBeGreaterThanOrEqual(bytes);
      expect(moved.receivedHash).toBe(moved.sentHash);
      const handovers = a.events("handover").length + b.events("handover").length;
      console.log(
        `${Math.round(moved.bytes / 1e6)} MB through ${MOVES} moves in ${((performance.now() - begun) / 1000).toFixed(1)} s, ` +
          `${handovers} handovers`,
      );
      // The association is the same one: nothing was agreed upon anew.
      expect(a.events("association-established")).toHaveLength(1);
      expect(b.events("association-established")).toHaveLength(1);
    });
  });
});
