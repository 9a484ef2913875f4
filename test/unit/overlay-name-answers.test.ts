/** From a name to what DNS is told about it. */
import { describe, expect, it } from "vitest";
import { parsePrefix } from "../../src/core/ip.ts";
import type { Hit } from "../../src/core/types.ts";
import type { OverlayConfig } from "../../src/overlay/config.ts";
import { type NameAnswer, RR, reverseZones, zonesOf } from "../../src/overlay/name-answers.ts";
import {
  association,
  Bench,
  BOB,
  CAROL,
  overlayConfig,
  peerConfig,
  SECOND_SELF,
  SELF,
} from "../support/overlay.ts";

const NAMES = { domain: "hip", host: "me", dnsPeers: false };

function bench(changes: Partial<OverlayConfig> = {}): Bench {
  const peers = [peerConfig("bob", BOB), peerConfig("db1.prod", CAROL)];
  return new Bench(overlayConfig({ names: NAMES, peers, ...changes })).start();
}

function ask(from: Bench, name: string, type: keyof typeof RR): NameAnswer {
  const reply = from.answer({ type: "name-query", name, kind: RR[type] });
  if (reply.type !== "name-answer") throw new Error(JSON.stringify(reply));
  return reply.answer;
}

function prefix(text: string): OverlayConfig["lsiPrefix"] {
  const parsed = parsePrefix(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
}

const backwards = (address: string) => address.split(".").reverse().join(".");
const nibbles = (hit: string) => `${[...hit].reverse().join(".")}.ip6.arpa`;

describe("peers", () => {
  it("have their LSI as A, their HIT as AAAA, and both lead back", () => {
    const from = bench();
    const lsi = from.overlay.lsis.lsi(BOB) ?? "";
    expect(ask(from, "bob.hip", "A").answers).toEqual([{ owner: "bob.hip", type: "A", lsi }]);
    expect(ask(from, "bob.hip", "AAAA").answers).toEqual([{ owner: "bob.hip", type: "AAAA", hit: BOB }]);
    expect(ask(from, "bob.hip", "ANY").answers).toHaveLength(2);
    for (const way of [`${backwards(lsi)}.in-addr.arpa`, nibbles(BOB)]) {
      expect(ask(from, way, "PTR").answers).toEqual([{ owner: way, type: "PTR", target: "bob.hip" }]);
    }
  });

  it("have a HIP record as soon as their key is known", () => {
    const from = bench();
    expect(ask(from, "bob.hip", "HIP")).toMatchObject({ code: "NOERROR", answers: [] });
    const key = { algorithm: 7, hostIdentity: Uint8Array.of(0, 1, 2) };
    from.fake.views.set(BOB, association(BOB, { peerKey: () => key }));
    expect(ask(from, "bob.hip", "HIP").answers).toEqual([
      { owner: "bob.hip", type: "HIP", key: { hit: BOB, ...key } },
    ]);
  });

  it("are found as soon as they are added, and not after they are removed", () => {
    const from = bench();
    expect(ask(from, "dave.hip", "A").code).toBe("NXDOMAIN");
    const hit = `20010022${"d".repeat(24)}` as Hit;
    from.answer({
      type: "peer-add",
      peer: {
        name: "dave",
        hit: "2001:22:dddd:dddd:dddd:dddd:dddd:dddd",
        identity: undefined,
        carrier: "udp",
        locators: [],
        inboundFamily: "hit",
      },
      keep: false,
    });
    expect(ask(from, "dave.hip", "AAAA").answers).toEqual([{ owner: "dave.hip", type: "AAAA", hit }]);
    from.answer({ type: "peer-remove", peer: "dave", keep: false });
    expect(ask(from, "dave.hip", "AAAA").code).toBe("NXDOMAIN");
    expect(ask(from, nibbles(hit), "PTR").code).toBe("NXDOMAIN");
  });

  it("with a dot in their name: what stands above is there, and empty (RFC 8020)", () => {
    const from = bench();
    expect(ask(from, "db1.prod.hip", "A").answers).toHaveLength(1);
    expect(ask(from, "prod.hip", "A")).toMatchObject({ code: "NOERROR", answers: [] });
    expect(ask(from, "od.hip", "A").code).toBe("NXDOMAIN");
    from.answer({ type: "peer-remove", peer: "db1.prod", keep: false });
    expect(ask(from, "prod.hip", "A").code).toBe("NXDOMAIN");
  });
});

describe("this host", () => {
  it("has its own name, with its key, and every identity of it leads back", () => {
    const key = { algorithm: 7, hostIdentity: Uint8Array.of(0, 1, 2) };
    const [identity, second] = overlayConfig().identities;
    if (identity === undefined || second === undefined) throw new Error("two identities");
    const from = bench({ identities: [{ ...identity, key }, second] });
    expect(ask(from, "me.hip", "A").answers).toEqual([
      { owner: "me.hip", type: "A", lsi: from.overlay.ownLsi },
    ]);
    expect(ask(from, "me.hip", "HIP").answers).toEqual([
      { owner: "me.hip", type: "HIP", key: { hit: SELF, ...key } },
    ]);
    for (const hit of [SELF, SECOND_SELF]) {
      expect(ask(from, nibbles(hit), "PTR").answers).toMatchObject([{ target: "me.hip" }]);
    }
  });

  it("has no name, where a peer has it", () => {
    const from = bench({ names: { ...NAMES, host: "bob" } });
    expect(ask(from, "bob.hip", "AAAA").answers).toMatchObject([{ hit: BOB }]);
    expect(ask(from, nibbles(SELF), "PTR").code).toBe("NXDOMAIN");
  });
});

describe("zones", () => {
  it("refuse everything that is not ours", () => {
    const from = bench();
    for (const name of [
      "",
      "com",
      "example.org",
      "hip.example.org",
      "xhip",
      "1.0.0.127.in-addr.arpa",
      "ip6.arpa",
    ]) {
      expect(ask(from, name, "A"), name).toEqual({ code: "REFUSED", answers: [], authority: [] });
    }
    expect(ask(from, "hip", "AXFR").code).toBe("REFUSED");
  });

  it("have SOA and NS at their top, and the SOA wherever there is no answer", () => {
    const from = bench();
    const soa = { owner: "hip", type: "SOA", server: "me.hip", mailbox: "hostmaster.hip" };
    expect(ask(from, "hip", "SOA").answers).toEqual([soa]);
    expect(ask(from, "hip", "NS").answers).toEqual([{ owner: "hip", type: "NS", target: "me.hip" }]);
    expect(ask(from, "hip", "A")).toEqual({ code: "NOERROR", answers: [], authority: [soa] });
    expect(ask(from, "nobody.hip", "A")).toEqual({ code: "NXDOMAIN", answers: [], authority: [soa] });
    expect(ask(from, "18.198.in-addr.arpa", "SOA").answers).toMatchObject([{ owner: "18.198.in-addr.arpa" }]);
  });

  it("of the reverse trees are there down to each address, and no further", () => {
    const from = bench();
    expect(ask(from, "7.18.198.in-addr.arpa", "PTR")).toMatchObject({ code: "NOERROR", answers: [] });
    expect(ask(from, "0.0.2.0.0.1.0.0.2.ip6.arpa", "PTR")).toMatchObject({ code: "NOERROR", answers: [] });
    const odd = [
      "1.2.3.18.198.in-addr.arpa",
      "x.18.198.in-addr.arpa",
      "256.18.198.in-addr.arpa",
      "01.18.198.in-addr.arpa",
    ];
    for (const name of [...odd, `0.${nibbles(BOB)}`, "xx.2.0.0.1.0.0.2.ip6.arpa"]) {
      expect(ask(from, name, "PTR").code, name).toBe("NXDOMAIN");
    }
  });

  it("cover exactly the LSI prefix", () => {
    const zones = (text: string) => reverseZones(prefix(text)).slice(0, -1);
    expect(reverseZones(prefix("198.18.0.0/15"))).toEqual([
      "18.198.in-addr.arpa",
      "19.198.in-addr.arpa",
      "2.0.0.1.0.0.2.ip6.arpa",
    ]);
    expect(zones("10.8.0.0/16")).toEqual(["8.10.in-addr.arpa"]);
    expect(zones("10.8.4.0/22")).toEqual([4, 5, 6, 7].map((n) => `${n}.8.10.in-addr.arpa`));
    expect(zones("10.8.0.16/28")).toHaveLength(16);
    expect(zones("10.8.0.16/28")[0]).toBe("16.0.8.10.in-addr.arpa");
    for (let length = 4; length <= 28; length++) {
      expect(zones(`16.0.0.0/${length}`).length, String(length)).toBeLessThanOrEqual(128);
    }
    expect(zonesOf({ domain: "lab.hip" }, prefix("10.8.0.0/16"))[0]).toBe("lab.hip");
  });
});
