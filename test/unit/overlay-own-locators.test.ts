/** Which of the host's addresses peers are told about, in which order, and when they are told again. */
import { describe, expect, it, test } from "vitest";
import { parsePrefix } from "../../src/core/ip.ts";
import type { Hit, Instant } from "../../src/core/types.ts";
import { matchesAny, scopeOf } from "../../src/overlay/locator-rank.ts";
import {
  DEFAULT_RULES,
  type LocalAddress,
  type LocatorRules,
  MAX_ADDED,
  MAX_OWN_LOCATORS,
  OwnLocators,
} from "../../src/overlay/own-locators.ts";
import { MAX_REFLEXIVE, MAX_WITNESSES } from "../../src/overlay/reflexive.ts";
import { BOB, CAROL, localAddress } from "../support/overlay.ts";

function prefix(text: string) {
  const parsed = parsePrefix(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

const at = (millis: number): Instant => millis as Instant;

const local = (address: string, changes: Partial<LocalAddress> = {}): LocalAddress =>
  localAddress(address, { defaultSource: false, ...changes });

function table(rules: Partial<LocatorRules> = {}, addresses: readonly LocalAddress[] = []): OwnLocators {
  const overlay = { interface: "hip0", lsiPrefix: prefix("198.18.0.0/15") };
  const made = new OwnLocators(10500, overlay, { ...DEFAULT_RULES, ...rules });
  made.addresses(addresses, at(0));
  return made;
}

/** What peers are told, as text. */
function told(own: OwnLocators, now = 0): readonly string[] {
  return own
    .known(at(now))
    .filter(({ leftOut }) => leftOut === undefined)
    .map(({ address }) => address);
}

describe("the order", () => {
  const cases: readonly (readonly [name: string, better: LocalAddress, worse: LocalAddress])[] = [
    ["global before private", local("192.0.2.1"), local("10.0.0.1", { defaultSource: true, metric: 0 })],
    ["global before carrier NAT", local("192.0.2.1"), local("100.64.0.1", { defaultSource: true })],
    ["global before unique local", local("192.0.2.1"), local("fd00::1", { defaultSource: true })],
    ["IPv6 before IPv4", local("2001:db8::1"), local("192.0.2.1", { defaultSource: true })],
    ["the kernel's choice", local("192.0.2.2", { defaultSource: true }), local("192.0.2.1", { metric: 0 })],
    ["lasting before ending", local("192.0.2.1"), local("192.0.2.2", { preferredSeconds: 200, metric: 0 })],
    ["the cheaper interface", local("192.0.2.2", { metric: 100 }), local("192.0.2.1", { metric: 600 })],
    ["a default route", local("192.0.2.2", { metric: 9999 }), local("192.0.2.1", { metric: undefined })],
    [
      "temporary ones last",
      local("10.0.0.1", { metric: undefined }),
      local("2001:db8::1", { temporary: true, defaultSource: true }),
    ],
    [
      "deprecated ones after temporary ones",
      local("10.0.0.1", { temporary: true }),
      local("2001:db8::1", { deprecated: true, defaultSource: true }),
    ],
  ];
  test.each(cases)("%s", (_, better, worse) => {
    const expected = [better.address, worse.address];
    expect(told(table({}, [better, worse]))).toEqual(expected);
    expect(told(table({}, [worse, better]))).toEqual(expected);
  });

  it("puts what an operator wrote first, then interfaces, then the cloud, then what peers saw", () => {
    const own = table({ advertise: [{ address: "203.0.113.5", port: 0 }] }, [local("10.0.0.5")]);
    own.cloud(["203.0.113.6"]);
    own.seenAs(BOB, "10.0.0.5", { address: "203.0.113.7", port: 40_000 }, at(0));
    const list = own.news(at(0));
    expect(list?.map(({ address, port, kind, local }) => [address, port, kind, local])).toEqual([
      ["203.0.113.5", 10500, "static", false],
      ["10.0.0.5", 10500, "host", true],
      ["203.0.113.6", 10500, "cloud", false],
      ["203.0.113.7", 40_000, "reflexive", false],
    ]);
    const preferences = (list ?? []).map(({ preference }) => preference);
    expect(preferences).toEqual([...preferences].sort((a, b) => b - a));
    expect(Math.max(...preferences)).toBeLessThanOrEqual(65_535);
  });

  it("offers no more than peers take, but never leaves a family without any", () => {
    const many = Array.from({ length: 20 }, (_, i) => local(`2001:db8::${i + 1}`));
    const own = table({}, [...many, local("192.0.2.1"), local("192.0.2.2")]);
    const offered = told(own);
    expect(offered).toHaveLength(MAX_OWN_LOCATORS);
    expect(offered.at(-1)).toBe("192.0.2.1");
    expect(own.known(at(0)).find(({ address }) => address === "192.0.2.2")?.leftOut).toMatch(/^beyond 16/);
  });
});

describe("what is left out", () => {
  const left = (address: LocalAddress, rules: Partial<LocatorRules> = {}): string | undefined =>
    table(rules, [address]).known(at(0))[0]?.leftOut;

  test.each([
    ["docker0", "192.0.2.1"],
    ["br-12ab", "192.0.2.1"],
    ["br-0a1b", "192.0.2.1"],
    ["cni0", "192.0.2.1"],
    ["flannel.1", "192.0.2.1"],
    ["cali123", "192.0.2.1"],
    ["virbr0", "192.0.2.1"],
    ["lxcbr0", "192.0.2.1"],
    ["podman0", "192.0.2.1"],
    ["tailscale0", "192.0.2.1"],
    ["wg0", "192.0.2.1"],
    ["tun0", "192.0.2.1"],
  ])("%s, unless it is included", (name, address) => {
    expect(left(local(address, { interface: name }))).toBe("interface of containers or a tunnel");
    expect(left(local(address, { interface: name }), { interfaces: [name] })).toBeUndefined();
  });

  test.each([
    ["127.0.0.1", "loopback address", "127.0.0.0/8"],
    ["::1", "loopback address", "::1/128"],
    ["169.254.3.4", "link-local address", "169.254.0.0/16"],
    ["fe80::1", "link-local address", "fe80::/10"],
  ])("%s, unless its prefix is included", (address, reason, included) => {
    expect(left(local(address))).toBe(reason);
    expect(left(local(address), { interfaces: ["*"] })).toBe(reason);
    expect(left(local(address), { addresses: [prefix(included)] })).toBeUndefined();
  });

  it("the overlay, whatever is included", () => {
    const all = { interfaces: ["*"], addresses: [prefix("0.0.0.0/0"), prefix("::/0")] };
    expect(left(local("198.18.3.4"), all)).toBe("address of the overlay");
    expect(left(local("2001:22::1"), all)).toBe("address of the overlay");
    expect(left(local("192.0.2.1", { interface: "hip0" }), all)).toBe("address of the overlay");
  });

  it("what the operator excludes, before what is included", () => {
    const rules = {
      interfaces: ["eth*"],
      excludeInterfaces: ["eth1"],
      excludeAddresses: [prefix("10.8.0.0/16")],
    };
    expect(left(local("192.0.2.1"), rules)).toBeUndefined();
    expect(left(local("192.0.2.1", { interface: "wlan0" }), rules)).toBe("not in interfaces");
    expect(left(local("192.0.2.1", { interface: "eth1" }), rules)).toBe("excluded by exclude_interfaces");
    expect(left(local("10.8.1.1"), rules)).toBe("excluded by exclude_addresses");
  });

  it("but an address that is advertised by name is offered all the same", () => {
    const own = table({ advertise: [{ address: "192.0.2.1", port: 0 }] }, [
      local("192.0.2.1", { interface: "docker0" }),
    ]);
    expect(own.news(at(0))).toMatchObject([{ address: "192.0.2.1", kind: "static", local: true }]);
  });

  test("patterns", () => {
    expect(matchesAny(["eth?"], "eth0")).toBe(true);
    expect(matchesAny(["eth?"], "eth10")).toBe(false);
    expect(matchesAny(["*a*b"], "xaxxab")).toBe(true);
    expect(matchesAny(["*a*b"], "xaxxac")).toBe(false);
    expect(matchesAny(["br-*"], "br0")).toBe(false);
    expect(matchesAny(["e.h0"], "eth0")).toBe(false);
    expect(matchesAny([`${"*a".repeat(20)}b`], "a".repeat(60))).toBe(false);
  });

  test("scopes", () => {
    expect(
      ["8.8.8.8", "172.16.0.1", "172.32.0.1", "224.0.0.1", "::ffff:1.2.3.4", "nonsense"].map(scopeOf),
    ).toEqual(["global", "private", "global", "none", "none", "none"]);
  });
});

describe("what peers saw", () => {
  const mapped = (port: number, address = "203.0.113.7") => ({ address, port });
  const behindNat = () => table({}, [local("10.0.0.5"), local("10.0.0.6", { interface: "eth1" })]);

  it("is no news when it is ours", () => {
    const own = behindNat();
    expect(own.seenAs(BOB, "10.0.0.5", mapped(10500, "10.0.0.6"), at(0))).toBe(false);
    expect(told(own)).toEqual(["10.0.0.5", "10.0.0.6"]);
  });

  it("each peer's last word counts, and goes with the peer", () => {
    const own = behindNat();
    expect(own.seenAs(BOB, "10.0.0.5", mapped(4000), at(0))).toBe(true);
    expect(own.seenAs(BOB, "10.0.0.5", mapped(4000), at(1))).toBe(false);
    expect(own.seenAs(BOB, "10.0.0.5", mapped(4001), at(2))).toBe(true);
    expect(own.known(at(2)).at(-1)).toMatchObject({ address: "203.0.113.7", port: 4001 });
    expect(own.forgetPeer(CAROL)).toBe(false);
    expect(own.forgetPeer(BOB)).toBe(true);
    expect(told(own)).not.toContain("203.0.113.7");
  });

  it("goes with the local address that it was seen for, and when it becomes ours", () => {
    const own = behindNat();
    own.seenAs(BOB, "10.0.0.5", mapped(4000), at(0));
    own.addresses([local("10.0.0.6", { interface: "eth1" })], at(1));
    expect(told(own)).toEqual(["10.0.0.6"]);
    own.seenAs(BOB, "10.0.0.6", mapped(4000), at(2));
    own.addresses([local("10.0.0.6"), local("203.0.113.7")], at(3));
    expect(own.known(at(3)).map(({ kind }) => kind)).toEqual(["host", "host"]);
  });

  it("is not offered when the NAT gives every peer another port, until two agree", () => {
    const own = behindNat();
    own.seenAs(BOB, "10.0.0.5", mapped(4000), at(0));
    own.seenAs(CAROL, "10.0.0.5", mapped(4001), at(0));
    expect(told(own)).not.toContain("203.0.113.7");
    own.seenAs(CAROL, "10.0.0.5", mapped(4000), at(1));
    expect(told(own)).toContain("203.0.113.7");
  });

  it("is bounded, and never what no peer can be at", () => {
    const own = behindNat();
    for (const address of ["127.0.0.1", "224.0.0.1", "fe80::1", "2001:db8::9"]) {
      own.seenAs(BOB, "10.0.0.5", { address, port: 1 }, at(0));
      expect(told(own)).toHaveLength(2);
    }
    for (let i = 0; i < MAX_WITNESSES + 5; i++) {
      const peer = i.toString(16).padStart(32, "0") as Hit;
      own.seenAs(peer, "10.0.0.5", mapped(5000, `203.0.113.${i % 200}`), at(i));
    }
    expect(told(own)).toHaveLength(2 + MAX_REFLEXIVE);
    expect(own.overflows()).toEqual({ reflexive_witnesses: 5 });
  });
});

describe("what the operator changes at run time", () => {
  it("adds, removes and prefers", () => {
    const own = table({}, [local("192.0.2.1"), local("192.0.2.2")]);
    expect(own.add({ address: "203.0.113.5", port: 0 })).toBe(true);
    expect(told(own)).toEqual(["203.0.113.5", "192.0.2.1", "192.0.2.2"]);
    expect(own.prefer("192.0.2.2")).toBe(true);
    expect(told(own)).toEqual(["192.0.2.2", "203.0.113.5", "192.0.2.1"]);
    expect(own.prefer("192.0.2.9")).toBe(false);
    expect(own.remove("192.0.2.2")).toBe(true);
    expect(told(own)).toEqual(["203.0.113.5", "192.0.2.1"]);
    expect(own.known(at(0)).at(-1)).toMatchObject({ address: "192.0.2.2", leftOut: "removed by hipctl" });
    expect(own.remove("203.0.113.5")).toBe(true);
    expect(own.remove("203.0.113.5")).toBe(false);
    expect(own.add({ address: "192.0.2.2", port: 0 })).toBe(true);
    expect(told(own)).toEqual(["192.0.2.2", "192.0.2.1"]);
    expect(own.prefer(undefined)).toBe(true);
  });

  it("has a limit", () => {
    const own = table();
    for (let i = 0; i < MAX_ADDED; i++) expect(own.add({ address: `192.0.2.${i}`, port: 0 })).toBe(true);
    expect(own.add({ address: "192.0.2.99", port: 0 })).toBe(false);
  });
});

describe("when peers are told", () => {
  it("at first, and then only of what changed", () => {
    const own = table({}, [local("192.0.2.1")]);
    expect(own.news(at(0))).toHaveLength(1);
    expect(own.news(at(1))).toBeUndefined();
    own.addresses([local("192.0.2.1")], at(2));
    expect(own.news(at(2))).toBeUndefined();
    own.addresses([local("192.0.2.1", { deprecated: true }), local("192.0.2.2")], at(3));
    expect(own.news(at(3))?.map(({ address }) => address)).toEqual(["192.0.2.2", "192.0.2.1"]);
    own.addresses([], at(4));
    expect(own.news(at(4))).toEqual([]);
    own.addresses([local("192.0.2.1", { deprecated: true }), local("192.0.2.2")], at(5));
    expect(own.news(at(5))).toHaveLength(2);
  });

  it("again before the lifetime that they know ends", () => {
    const own = table({}, [local("2001:db8::1", { preferredSeconds: 1800 })]);
    expect(own.deadline()).toBeUndefined();
    expect(own.news(at(0))).toMatchObject([{ lifetime: 1800 }]);
    expect(own.deadline()?.at).toBe(1_200_000);
    // A router advertisement renews it: nothing that peers need to hear now.
    own.addresses([local("2001:db8::1", { preferredSeconds: 1800 })], at(600_000));
    expect(own.news(at(600_000))).toBeUndefined();
    expect(own.news(at(1_200_000))).toMatchObject([{ lifetime: 1200 }]);
    expect(own.deadline()?.at).toBe(2_000_000);
    // Nobody renews it any more, and yet the kernel does not take it away: it stays until the kernel says so.
    expect(own.news(at(2_000_000))).toMatchObject([{ lifetime: 400 }]);
    expect(own.news(at(2_300_000))).toMatchObject([{ lifetime: 100 }]);
    expect(own.news(at(2_380_000))).toMatchObject([{ lifetime: undefined }]);
    expect(own.deadline()).toBeUndefined();
  });

  it("keeps the time since when a locator is there", () => {
    const own = table({}, [local("192.0.2.1")]);
    own.known(at(10));
    own.addresses([local("192.0.2.1"), local("192.0.2.2")], at(50));
    expect(own.known(at(60)).map(({ since }) => since)).toEqual([10, 60]);
  });
});
