/** What the overlay's interface may claim, and how it is sized. */
import { describe, expect, it } from "vitest";
import { parseIp, parsePrefix } from "../../src/core/ip.ts";
import {
  type AddressRow,
  interfaceMtu,
  type LinkRow,
  type RouteRow,
  refuseOverlaps,
  workerCount,
} from "../../src/runtime/network.ts";

const LINKS: readonly LinkRow[] = [
  { index: 1, name: "lo", flags: 0x9, mtu: 65536 },
  { index: 2, name: "eth0", flags: 0x1, mtu: 1500 },
  { index: 3, name: "hip0", flags: 0x1, mtu: 1478 },
  { index: 4, name: "down0", flags: 0, mtu: 9000 },
];

function prefix(text: string) {
  const parsed = parsePrefix(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

function address(link: number, text: string): AddressRow {
  const [bytes, length] = text.split("/") as [string, string];
  return { link, prefix: { bytes: parseIp(bytes) as Uint8Array, length: Number(length) } };
}

function route(link: number, text: string, more: Partial<RouteRow> = {}): RouteRow {
  return { destination: prefix(text), type: 1, table: 254, link, metric: 0, mtu: 0, ...more };
}

function check(addresses: readonly AddressRow[], routes: readonly RouteRow[], lsi = "198.18.0.0/15"): void {
  refuseOverlaps({ interface: "hip0", lsiPrefix: prefix(lsi) }, LINKS, addresses, routes);
}

describe("overlaps", () => {
  it("leaves others and itself in peace", () => {
    const own = [address(3, "198.18.0.1/32"), address(3, "2001:22::1/128"), address(2, "192.0.2.1/24")];
    const routes = [
      route(3, "198.18.0.0/15"),
      route(3, "2001:20::/28"),
      route(2, "192.0.2.0/24"),
      route(2, "0.0.0.0/0"),
      route(2, "::/0"),
      // The halves of a default route that VPNs add, and the global unicast range.
      route(2, "128.0.0.0/1"),
      route(2, "2000::/3"),
      // What an earlier run left.
      route(0, "198.18.0.0/15", { type: 7, metric: 0xffff_ffff }),
      route(1, "2001:20::/28", { type: 7, metric: 0xffff_ffff }),
    ];
    expect(() => check(own, routes)).not.toThrow();
  });

  it("names both sides", () => {
    expect(() => check([address(2, "198.19.255.1/24")], [])).toThrow(
      "the LSI prefix 198.18.0.0/15 overlaps the address 198.19.255.1/24 of eth0; choose another lsi_prefix",
    );
    expect(() => check([address(2, "2001:2f::1/64")], [])).toThrow(
      "the HIT prefix 2001:20::/28 overlaps the address 2001:2f::1/64 of eth0",
    );
    expect(() => check([], [route(2, "198.18.7.0/24")])).toThrow("overlaps the route 198.18.7.0/24 of eth0");
    expect(() => check([], [route(2, "198.0.0.0/8")])).toThrow("overlaps the route 198.0.0.0/8 of eth0");
    expect(() => check([], [route(2, "2001::/23")])).toThrow(
      "the HIT prefix 2001:20::/28 overlaps the route 2001::/23",
    );
    expect(() => check([], [route(0, "198.18.0.0/16", { type: 6 })])).toThrow(
      "overlaps the route 198.18.0.0/16;",
    );
  });

  it("depends on the configured prefix", () => {
    expect(() => check([address(2, "10.1.2.3/8")], [], "10.0.0.0/8")).toThrow(/10\.0\.0\.0\/8 overlaps/);
    expect(() => check([address(2, "10.1.2.3/8")], [])).not.toThrow();
  });
});

describe("another overlay on the same host", () => {
  const POINT_TO_POINT = 0x10;
  const links = [...LINKS, { index: 7, name: "hip-blue", flags: 1 | POINT_TO_POINT, mtu: 1478 }];
  const refuse = (
    addresses: readonly AddressRow[],
    routes: readonly RouteRow[],
    hitRoutes: "prefix" | "peers",
  ) => {
    const plan = { interface: "hip0", lsiPrefix: prefix("198.18.0.0/15"), hitRoutes };
    return () => refuseOverlaps(plan, links, addresses, routes);
  };

  it("may have HITs and routes to its peers", () => {
    const blue = [address(7, "2001:22::7/128"), address(7, "100.64.0.1/32")];
    const routes = [route(7, "2001:22::8/128"), route(7, "100.64.0.0/16")];
    expect(refuse(blue, routes, "prefix")).not.toThrow();
    expect(refuse(blue, routes, "peers")).not.toThrow();
    expect(refuse([address(2, "2001:22::7/128")], [], "peers")).toThrow("of eth0");
  });

  it("has the whole prefix only where this one does without it", () => {
    const routes = [route(7, "2001:20::/28")];
    expect(refuse([], routes, "peers")).not.toThrow();
    expect(refuse([], routes, "prefix")).toThrow(
      'overlaps the route 2001:20::/28 of hip-blue; beside another overlay [network] hit_routes = "peers" is needed',
    );
    expect(refuse([], [route(7, "2001:20::/32")], "peers")).toThrow("overlaps the route");
  });

  it("needs LSIs of its own", () => {
    expect(refuse([], [route(7, "198.18.0.0/15")], "peers")).toThrow("choose another lsi_prefix");
  });
});

describe("sizes", () => {
  it("takes the widest underlay link that is up", () => {
    expect(interfaceMtu(0, "hip0", LINKS)).toBe(1478);
    expect(interfaceMtu(0, "hip0", [...LINKS, { index: 5, name: "eth1", flags: 1, mtu: 8900 }])).toBe(8878);
    expect(interfaceMtu(0, "hip0", [])).toBe(1478);
    expect(interfaceMtu(1300, "hip0", LINKS)).toBe(1300);
  });

  it("stays within IPv6's minimum and the data plane's buffers", () => {
    expect(interfaceMtu(65535, "hip0", LINKS)).toBe(9216);
    expect(interfaceMtu(0, "hip0", [{ index: 2, name: "ppp0", flags: 1, mtu: 576 }])).toBe(1280);
  });

  it("leaves the other half of the processors to the kernel", () => {
    expect([1, 2, 3, 4, 16, 64].map((processors) => workerCount(0, processors))).toEqual([1, 1, 1, 2, 8, 8]);
    expect(workerCount(3, 2)).toBe(3);
    expect(workerCount(64, 2)).toBe(16);
  });
});
