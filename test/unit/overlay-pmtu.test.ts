import { describe, expect, it } from "vitest";
import type { Instant } from "../../src/core/types.ts";
import { MAX_PROBES, Pmtu } from "../../src/overlay/pmtu.ts";

/** A path that carries `mtu` behind a kernel that believes in `kernel`. Gives the sizes that were tried. */
function settle(pmtu: Pmtu, path: number, kernel: number, now = 0): number[] {
  const tried: number[] = [];
  for (let size = pmtu.next; size !== undefined; size = pmtu.next) {
    const bytes = size === 0 ? kernel : size;
    tried.push(bytes);
    expect(tried.length).toBeLessThan(100);
    if (bytes <= Math.min(path, kernel)) pmtu.answered(size, bytes, now as Instant);
    else pmtu.lost(size, now as Instant);
  }
  return tried;
}

describe("the largest packet of a path (RFC 8899)", () => {
  it("believes the kernel when a packet of that size arrives", () => {
    const pmtu = new Pmtu(false);
    expect(settle(pmtu, 1500, 1500)).toEqual([1500]);
    expect(pmtu.mtu).toBeUndefined();
    expect(pmtu.arrived).toBe(1500);
  });

  for (const ipv6 of [false, true]) {
    for (const path of [1280, 1287, 1300, 1420, 1449, 1492, 1500, 1501, 4000, 8900, 8999]) {
      it(`finds ${path} bytes behind a link of 9000, IPv${ipv6 ? 6 : 4}`, () => {
        const pmtu = new Pmtu(ipv6);
        settle(pmtu, path, 9000);
        expect(pmtu.mtu).toBeLessThanOrEqual(path);
        expect(pmtu.mtu).toBeGreaterThan(path - 8);
        expect(pmtu.arrived).toBe(pmtu.mtu);
      });
    }
  }

  it("goes below the base where IPv4 does, and stops at the smallest", () => {
    const pmtu = new Pmtu(false);
    settle(pmtu, 1100, 1500);
    expect(pmtu.mtu).toBeGreaterThan(1092);
    expect(pmtu.mtu).toBeLessThanOrEqual(1100);
    const nothing = new Pmtu(false);
    settle(nothing, 100, 1500);
    expect(nothing.mtu).toBe(576);
    const six = new Pmtu(true);
    settle(six, 100, 1500);
    expect(six.mtu).toBe(1280);
  });

  it("does not take a lost packet or two for a smaller path", () => {
    const pmtu = new Pmtu(false);
    for (let i = 1; i < MAX_PROBES; i++) expect(pmtu.lost(0, 0 as Instant)).toBe(false);
    expect(pmtu.answered(0, 1500, 0 as Instant)).toBe(false);
    expect(pmtu.next).toBeUndefined();
  });

  it("notices that a path shrank, and imposes the base at once", () => {
    const pmtu = new Pmtu(false);
    settle(pmtu, 1500, 1500);
    pmtu.check(14_000 as Instant);
    expect(pmtu.next).toBeUndefined();
    pmtu.check(15_000 as Instant);
    expect(pmtu.next).toBe(0);
    const changes = [0, 0, 0].map(() => pmtu.lost(0, 15_000 as Instant));
    expect(changes).toEqual([false, false, true]);
    expect(pmtu.mtu).toBe(1280);
    settle(pmtu, 1400, 1500, 15_000);
    expect(pmtu.mtu).toBeGreaterThanOrEqual(1400 - 8);
  });

  it("asks at once when something seems to be wrong, but not twice a second", () => {
    const pmtu = new Pmtu(false);
    settle(pmtu, 1500, 1500);
    pmtu.check(500 as Instant, true);
    expect(pmtu.next).toBeUndefined();
    pmtu.check(1000 as Instant, true);
    expect(pmtu.next).toBe(0);
  });

  it("looks for more after ten minutes", () => {
    const pmtu = new Pmtu(false);
    settle(pmtu, 1400, 9000);
    pmtu.check(100_000 as Instant);
    settle(pmtu, 8900, 9000, 100_000);
    expect(pmtu.mtu).toBe(1400);
    pmtu.check(600_000 as Instant);
    settle(pmtu, 8900, 9000, 600_000);
    expect(pmtu.mtu).toBe(8900);
  });
});
