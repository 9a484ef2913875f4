/** What DNS may change about a peer: where it is, and who it is only when nobody else says so and the answer was validated. */
import { describe, expect, it } from "vitest";
import { formatHit } from "../../src/core/ip.ts";
import type { Hit } from "../../src/core/types.ts";
import type { OverlayConfig, PeerConfig } from "../../src/overlay/config.ts";
import type { DnsFacts } from "../../src/overlay/dns-peers.ts";
import { association, Bench, BOB, CAROL, only, overlayConfig, peerConfig, SELF } from "../support/overlay.ts";

const NAME = "vm1.example.org";
const OTHER = `20010022${"0".repeat(23)}1` as Hit;

function bench(peers: readonly PeerConfig[], changes: Partial<OverlayConfig> = {}): Bench {
  const names = { domain: "hip", host: "me", dnsPeers: true };
  return new Bench(overlayConfig({ names, peers, ...changes })).start();
}

const known = (changes: Partial<PeerConfig> = {}) =>
  peerConfig("bob", BOB, { locators: [], dns: NAME, ...changes });
const unknown = (changes: Partial<PeerConfig> = {}) =>
  peerConfig("vm", undefined, { locators: [], dns: NAME, ...changes });

function facts(changes: Partial<DnsFacts> = {}): DnsFacts {
  return { name: NAME, validated: true, keys: [], addresses: ["192.0.2.77"], ...changes };
}
const key = (hit: Hit, ...rendezvous: readonly string[]) => ({ hit, rendezvous });

function tell(to: Bench, peer: string, changes: Partial<DnsFacts> = {}): void {
  expect(to.answer({ type: "dns-facts", peer, facts: facts(changes) })).toEqual({ type: "noted" });
}

const events = (from: Bench) => only(from.outputs, "event").map(({ event }) => event.name);
const peerOf = (from: Bench, name: string) => {
  const peer = from.overlay.peers.named(name);
  if (peer === undefined) throw new Error(`no peer ${name}`);
  return peer;
};
const places = (from: Bench, name: string) => peerOf(from, name).locators.map(({ address }) => address);

describe("who is looked up", () => {
  it("peers with a name in DNS, and those whose own name is one, but not below our own domain", () => {
    const from = bench([
      known(),
      peerConfig("db1.example.org", CAROL),
      peerConfig("plain", OTHER),
      peerConfig("odd.hip", `20010022${"0".repeat(23)}2` as Hit),
    ]);
    expect(from.answer({ type: "dns-peers" })).toEqual({
      type: "dns-peers",
      peers: [
        { peer: "bob", name: NAME },
        { peer: "db1.example.org", name: "db1.example.org" },
      ],
    });
  });

  it("nobody, unless it is switched on", () => {
    const from = bench([known()], { names: { domain: "hip", host: "", dnsPeers: false } });
    expect(from.answer({ type: "dns-peers" })).toEqual({ type: "dns-peers", peers: [] });
    tell(from, "bob");
    expect(places(from, "bob")).toEqual([]);
  });
});

describe("a peer whose HIT is configured", () => {
  it("is looked for where DNS says, validated or not: the exchange proves who it is", () => {
    const from = bench([known({ locators: [{ address: "192.0.2.10", port: 10501 }] })]);
    tell(from, "bob", { validated: false, keys: [key(BOB, "192.0.2.99")] });
    expect(peerOf(from, "bob").locators).toEqual([
      { address: "192.0.2.10", port: 10501 },
      { address: "192.0.2.77", port: 10500 },
      { address: "192.0.2.99", port: 10500 },
    ]);
    expect(events(from)).toContain("peer-dns-locators");
    tell(from, "bob", { addresses: [] });
    expect(places(from, "bob")).toEqual(["192.0.2.10"]);
  });

  it("becomes reachable by its first locator, and unreachable without any", () => {
    const from = bench([known()]);
    expect(peerOf(from, "bob").via).toBe("reject");
    tell(from, "bob");
    expect(peerOf(from, "bob").via).toBe("demand");
    tell(from, "bob", { addresses: [] });
    expect(peerOf(from, "bob").via).toBe("reject");
  });

  it("keeps its HIT when DNS has another one, which is told once and whose rendezvous servers are not used", () => {
    const from = bench([known()]);
    for (let n = 0; n < 3; n++) tell(from, "bob", { keys: [key(OTHER, "192.0.2.99")] });
    expect(peerOf(from, "bob").hit).toBe(BOB);
    expect(places(from, "bob")).toEqual(["192.0.2.77"]);
    expect(events(from).filter((name) => name === "peer-dns-refused")).toHaveLength(1);
    expect(peerOf(from, "bob").lastError?.text).toContain(formatHit(OTHER));
  });

  it("is not sent into the overlay, to this host itself, or to nobody", () => {
    const from = bench([known()]);
    const addresses = [
      "198.18.0.7",
      formatHit(BOB),
      "127.0.0.1",
      "::1",
      "0.0.0.0",
      "224.0.0.1",
      "fe80::1",
      "x",
      "10.1.2.3",
    ];
    tell(from, "bob", { addresses });
    expect(places(from, "bob")).toEqual(["10.1.2.3"]);
  });

  it("keeps what it said of itself beside what DNS says", () => {
    const from = bench([known()]);
    from.overlay.peers.learn(peerOf(from, "bob"), [
      { address: "192.0.2.77", port: 10500 },
      { address: "192.0.2.5", port: 4500 },
    ]);
    tell(from, "bob");
    expect(places(from, "bob")).toEqual(["192.0.2.77", "192.0.2.5"]);
    expect(from.overlay.peers.at("udp", "192.0.2.5")).toHaveLength(1);
    tell(from, "bob", { addresses: [] });
    expect(places(from, "bob")).toEqual(["192.0.2.77", "192.0.2.5"]);
  });
});

describe("a peer whose HIT is not configured", () => {
  it("gets it from a validated answer, with an LSI and a name", () => {
    const from = bench([unknown()]);
    tell(from, "vm", { keys: [key(OTHER)] });
    expect(peerOf(from, "vm").hit).toBe(OTHER);
    expect(from.overlay.lsis.lsi(OTHER)).toBeDefined();
    expect(places(from, "vm")).toEqual(["192.0.2.77"]);
    expect(events(from)).toContain("peer-dns-hit");
  });

  it("never gets it from an answer that was not validated (RFC 8005 8)", () => {
    const from = bench([unknown()], { host: { ...overlayConfig().host, opportunistic: true } });
    tell(from, "vm", { validated: false, keys: [key(OTHER)] });
    expect(peerOf(from, "vm").hit).toBeUndefined();
    expect(events(from)).toContain("peer-dns-refused");
    const refused = from.answer({ type: "connect", peer: "vm", timeoutMillis: 1000 });
    expect(refused).toMatchObject({ type: "error" });
    expect(JSON.stringify(refused)).toContain("DNSSEC");
    // Nor from whoever answers there first.
    expect(from.overlay.peers.discovered(OTHER, SELF, "udp", { address: "192.0.2.77", port: 10500 })).toBe(
      false,
    );
  });

  it("does not get that of another peer, nor our own", () => {
    const from = bench([unknown(), peerConfig("bob", BOB)]);
    tell(from, "vm", { keys: [key(BOB)] });
    tell(from, "vm", { keys: [key(SELF)] });
    expect(peerOf(from, "vm").hit).toBeUndefined();
    expect(from.overlay.peers.byHit(BOB)?.config.name).toBe("bob");
    tell(from, "vm", { keys: [key(SELF), key(OTHER)] });
    expect(peerOf(from, "vm").hit).toBe(OTHER);
  });

  it("keeps the one it has as long as that stands among several, whatever their order", () => {
    const from = bench([unknown()]);
    tell(from, "vm", { keys: [key(OTHER)] });
    tell(from, "vm", { keys: [key(CAROL), key(OTHER, "192.0.2.98")] });
    expect(peerOf(from, "vm").hit).toBe(OTHER);
    // RFC 8005 4.2: only rendezvous servers of the record in use.
    expect(places(from, "vm")).toEqual(["192.0.2.77", "192.0.2.98"]);
    tell(from, "vm", { keys: [key(CAROL)] });
    expect(peerOf(from, "vm").hit).toBe(CAROL);
    expect(from.overlay.peers.byHit(OTHER)).toBeUndefined();
  });

  it("loses it with its record, but not while they talk (RFC 8005 4.2)", () => {
    const from = bench([unknown()]);
    tell(from, "vm", { keys: [key(OTHER)] });
    from.fake.views.set(OTHER, association(OTHER));
    tell(from, "vm");
    expect(peerOf(from, "vm").hit).toBe(OTHER);
    // DNS says no more; the association ends a while later.
    from.fake.views.delete(OTHER);
    from.give({ type: "timeout" });
    expect(peerOf(from, "vm").hit).toBeUndefined();
    expect(events(from)).toContain("peer-dns-lost");
  });

  it("keeps it when its record comes back while they talk", () => {
    const from = bench([unknown()]);
    tell(from, "vm", { keys: [key(OTHER)] });
    from.fake.views.set(OTHER, association(OTHER));
    tell(from, "vm");
    tell(from, "vm", { keys: [key(OTHER)] });
    from.fake.views.delete(OTHER);
    from.give({ type: "timeout" });
    expect(peerOf(from, "vm").hit).toBe(OTHER);
  });

  it("does not have it at the next start before DNS says so again", () => {
    const before = bench([unknown()]);
    tell(before, "vm", { keys: [key(OTHER)] });
    const saved = only(before.outputs, "save").at(-1)?.state;
    expect(saved?.lsis.map(([hit]) => hit)).toContain(OTHER);
    expect(saved?.discovered).toEqual([]);
    const after = new Bench(
      overlayConfig({ peers: [unknown()], names: { domain: "hip", host: "", dnsPeers: true } }),
      { ...saved, discovered: [["vm", OTHER]] },
    ).start();
    expect(peerOf(after, "vm").hit).toBeUndefined();
  });

  it("neither when its own name is the one in DNS, and whoever answers may be believed", () => {
    const host = { ...overlayConfig().host, opportunistic: true };
    const peers = [peerConfig(NAME, undefined)];
    const before = bench(peers, { host });
    tell(before, NAME, { keys: [key(OTHER)] });
    expect(peerOf(before, NAME).hit).toBe(OTHER);
    const saved = only(before.outputs, "save").at(-1)?.state;
    expect(saved?.discovered).toEqual([]);
    const names = { domain: "hip", host: "me", dnsPeers: true };
    const found = { ...saved, discovered: [[NAME, OTHER]] };
    const after = new Bench(overlayConfig({ names, peers, host }), found).start();
    expect(peerOf(after, NAME).hit).toBeUndefined();
    // Without DNS the same name is only a name.
    const plain = overlayConfig({ names: { ...names, dnsPeers: false }, peers, host });
    expect(peerOf(new Bench(plain, found).start(), NAME).hit).toBe(OTHER);
  });
});

it("facts about another name than the peer has now, or about nobody, change nothing", () => {
  const from = bench([unknown()]);
  tell(from, "vm", { name: "vm2.example.org", keys: [key(OTHER)] });
  tell(from, "nobody", { keys: [key(OTHER)] });
  expect(peerOf(from, "vm").hit).toBeUndefined();
  expect(from.overlay.peers.size).toBe(1);
});

it("another name in DNS makes another peer of it", () => {
  const from = bench([unknown()]);
  tell(from, "vm", { keys: [key(OTHER)] });
  const moved = { ...from.overlay.config, peers: [unknown({ dns: "vm2.example.org" })] };
  expect(from.answer({ type: "configure", config: moved })).toMatchObject({ type: "configured" });
  expect(peerOf(from, "vm").hit).toBeUndefined();
  expect(peerOf(from, "vm").published).toEqual([]);
});

it("a configured peer that is not in DNS any more is not looked for where DNS said", () => {
  const from = bench([known()]);
  tell(from, "bob");
  const plain = { ...from.overlay.config, peers: [known({ dns: undefined })] };
  expect(from.answer({ type: "configure", config: plain })).toMatchObject({ type: "configured" });
  expect(peerOf(from, "bob").hit).toBe(BOB);
  expect(peerOf(from, "bob").published).toEqual([]);
});

describe("peer add with a name in DNS", () => {
  const draft = {
    name: "late",
    hit: undefined,
    identity: undefined,
    carrier: "udp",
    locators: [],
    inboundFamily: "hit",
    dns: NAME,
  } as const;

  it("needs no HIT where DNS may tell it", () => {
    const from = bench([]);
    expect(from.answer({ type: "peer-add", peer: draft, keep: false })).toMatchObject({ type: "peer" });
    expect(from.answer({ type: "dns-peers" })).toEqual({
      type: "dns-peers",
      peers: [{ peer: "late", name: NAME }],
    });
    tell(from, "late", { keys: [key(OTHER)] });
    expect(peerOf(from, "late").hit).toBe(OTHER);
  });

  it("is refused without a HIT where DNS is not asked", () => {
    const from = bench([], { names: { domain: "hip", host: "", dnsPeers: false } });
    const refused = from.answer({ type: "peer-add", peer: draft, keep: false });
    expect(refused).toMatchObject({ type: "error", code: "invalid" });
    expect(JSON.stringify(refused)).toContain("dns_peers");
  });
});

it("a HIT that is configured for one peer is no longer that of another, which DNS gave it", () => {
  const from = bench([unknown()]);
  tell(from, "vm", { keys: [key(OTHER)] });
  const config = { ...from.overlay.config, peers: [unknown(), peerConfig("carl", OTHER)] };
  expect(from.answer({ type: "configure", config })).toMatchObject({ type: "configured" });
  expect(from.overlay.peers.byHit(OTHER)?.config.name).toBe("carl");
  expect(peerOf(from, "vm").hit).toBeUndefined();
  tell(from, "vm", { keys: [key(OTHER)] });
  expect(from.overlay.peers.byHit(OTHER)?.config.name).toBe("carl");
});
