/** What netcheck makes of locators, sightings and paths. */
import { describe, expect, test } from "vitest";
import { natViews } from "../../src/cli/netcheck/nat.ts";
import { type Known, netReport } from "../../src/cli/netcheck/report.ts";
import { natText, reportText } from "../../src/cli/netcheck/text.ts";
import type { Io } from "../../src/cli/output.ts";
import type { SightingView } from "../../src/overlay/sightings.ts";
import { NOW } from "../support/cli.ts";
import { ANSWERS, PAIR, PEER } from "../support/doctor.ts";
import { UNUSED } from "../support/views.ts";

const IO = { color: false, now: () => NOW } as Io;
const OURS = "10.0.0.5:10500";

function seen(peer: string, as: string, local = OURS): SightingView {
  return { peer, hit: `2001:22::${peer}`, local, seen: as, since: "2025-01-02T03:00:00.000Z" };
}
/** Peer "1" is at 192.0.2.1, "2" at 192.0.2.2, "1b" at 192.0.2.1 too. */
const place = ({ peer }: SightingView): string => `192.0.2.${Number.parseInt(peer ?? "0", 10)}:10500`;
const kinds = (list: readonly SightingView[], families: readonly string[] = ["ipv4"]) =>
  natViews(list, new Set(families), place).map(({ family, kind, portPreserved }) => [
    family,
    kind,
    portPreserved,
  ]);

describe("the kind of NAT (RFC 4787 4.1)", () => {
  test.each([
    ["nobody told", [], "unknown", null],
    ["peers see our own address", [seen("1", OURS), seen("2", OURS)], "none", null],
    ["one peer is not enough", [seen("1", "198.51.100.1:10500")], "unknown", true],
    [
      "two see the same",
      [seen("1", "198.51.100.1:10500"), seen("2", "198.51.100.1:10500")],
      "endpoint-independent",
      true,
    ],
    [
      "two see the same other port",
      [seen("1", "198.51.100.1:4001"), seen("2", "198.51.100.1:4001")],
      "endpoint-independent",
      false,
    ],
    [
      "two at one address see the same",
      [seen("1", "198.51.100.1:4001"), seen("1b", "198.51.100.1:4001")],
      "unknown",
      false,
    ],
    [
      "two see other ports",
      [seen("1", "198.51.100.1:4001"), seen("2", "198.51.100.1:4002")],
      "address-dependent",
      false,
    ],
    [
      "two see other addresses",
      [seen("1", "198.51.100.1:10500"), seen("2", "198.51.100.9:10500")],
      "address-dependent",
      true,
    ],
    [
      "two at one address see other ports",
      [seen("1", "198.51.100.1:4001"), seen("1b", "198.51.100.1:4002")],
      "address-and-port-dependent",
      false,
    ],
    ["a peer on our side", [seen("1", OURS), seen("2", "198.51.100.1:10500")], "unknown", true],
  ] as const)("%s", (_what, list, kind, preserved) => {
    expect(kinds(list)).toEqual([["ipv4", kind, preserved]]);
  });

  test("each family by itself, and none that nobody has", () => {
    const six = seen("1", "[2001:db8::5]:10500", "[2001:db8::5]:10500");
    expect(kinds([seen("1", "198.51.100.1:1"), six], [])).toEqual([
      ["ipv4", "unknown", false],
      ["ipv6", "none", null],
    ]);
    expect(kinds([], [])).toEqual([]);
  });

  test("mappings of two addresses of ours are not compared with each other", () => {
    const other = "10.0.1.5:10500";
    expect(kinds([seen("1", "198.51.100.1:1"), seen("2", "198.51.100.2:2", other)])).toEqual([
      ["ipv4", "unknown", false],
    ]);
  });

  test("in words", () => {
    const [nat] = natViews(
      [seen("1", "198.51.100.1:4001"), seen("2", "198.51.100.1:4001"), seen("3", OURS)],
      new Set(),
      place,
    );
    expect(natText(nat as never)).toBe(
      "endpoint-independent mapping, port not preserved: 2 peers at different addresses see the same; 1 on this side of it",
    );
  });
});

const SIX = {
  ...PAIR,
  path: { carrier: "udp", local: "[2001:db8::1]:10500", remote: "[2001:db8::10]:10500" },
  inUse: false,
  rttMillis: 7,
} as const;
const KNOWN: Known = {
  status: ANSWERS.status,
  own: ANSWERS.own,
  peers: [{ name: "db1", hit: PEER.hit, locators: [], paths: [PAIR, SIX] }],
  whereabouts: {
    seen: [seen("1", "198.51.100.1:10500")],
    cloud: { provider: "aws", instance: "i-1", addresses: ["203.0.113.5"] },
    metadata: null,
  },
};

describe("how a peer is reached", () => {
  const reach = (change: Partial<Known>) => netReport({ ...KNOWN, ...change }, new Map()).peers[0];

  test("by both families, the path in use first", () => {
    expect(reach({})).toMatchObject({
      ipv4: { state: "verified", inUse: true, rttMillis: 1, mtu: 1500 },
      ipv6: { state: "verified", inUse: false, rttMillis: 7 },
    });
  });

  test("a path without an answer, and an address that only one of us has", () => {
    const paths = [{ ...PAIR, state: "unverified" as const }];
    expect(reach({ peers: [{ name: "db1", hit: PEER.hit, locators: [UNUSED], paths }] })).toMatchObject({
      ipv4: { state: "unverified" },
      ipv6: { state: "none", path: null },
    });
    const six = { ...(KNOWN.own[0] as (typeof KNOWN.own)[0]), address: "[2001:db8::1]:10500" };
    expect(
      reach({ own: [six], peers: [{ name: "db1", hit: PEER.hit, locators: [UNUSED], paths: [] }] }),
    ).toMatchObject({
      ipv6: { state: "unverified" },
    });
  });

  test("what people read", () => {
    const probes = new Map([
      ["db1", { sent: 3, received: 2, minMillis: 1, meanMillis: 1.5, maxMillis: 2, error: null }],
    ]);
    const text = reportText(netReport(KNOWN, probes), IO);
    expect(text).toMatch(
      /^this host\n RANK {2}LOCATOR .*\n30000 {2}192\.0\.2\.1:10500 +host +eth0 +offered +preferred\n/,
    );
    expect(text).toMatch(/\nas peers see it\n.*\n1 +10\.0\.0\.5:10500 +198\.51\.100\.1:10500 +4 min\n/s);
    expect(text).toContain(
      "\nNAT\nIPv4  unknown, port preserved: there is a NAT; to tell its kind needs two peers",
    );
    expect(text).toMatch(/\ndb1 +ESTABLISHED +\*1\.00 ms +7\.00 ms +0\.0 % +1500 +2\/3 1\.50 ms +udp 192/);
    expect(text).toMatch(/\ncloud\naws i-1: 203\.0\.113\.5\n$/);
    const failed = new Map([
      [
        "db1",
        { sent: 0, received: 0, minMillis: null, meanMillis: null, maxMillis: null, error: "no answer" },
      ],
    ]);
    expect(reportText(netReport(KNOWN, failed), IO)).toContain("\ndb1: no answer\n");
  });

  test("without anything", () => {
    const nothing: Known = {
      status: { ...ANSWERS.status, peers: [] },
      own: [],
      peers: [],
      whereabouts: undefined,
    };
    expect(reportText(netReport(nothing, new Map()), IO)).toMatch(
      /no locators.*no peer has told yet.*no peers; add one/s,
    );
  });
});
