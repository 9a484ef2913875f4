import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { concat, fromHex, toHex } from "../../src/core/bytes.ts";
import { coalesce } from "../gro-reference.ts";
import { FLAG, GSO, NEEDS_CHECKSUM, outbound, PLAIN, segment } from "../gso-reference.ts";
import { PAIR } from "./beet-cases.ts";
import { OTHER } from "./gso-cases.ts";
import { gsoVectors } from "./gso-directed.ts";
import { vectorPath } from "./native.ts";

/** 3 segments of TCP over IPv6 with all flags that segmentation looks at. */
const SUPER = concat(
  fromHex("60b000000020063f"),
  PAIR.localHit,
  PAIR.peerHit,
  fromHex("03e80050fffffffd00000007"),
  Uint8Array.of(0x50, FLAG.ack | FLAG.psh | FLAG.fin | FLAG.cwr | FLAG.ece),
  fromHex("200000000000"),
  fromHex("0102030405060708090a0b0c"),
);
const HEADER = {
  flags: NEEDS_CHECKSUM,
  gsoType: GSO.tcp6 | GSO.ecn,
  headerLength: 60,
  gsoSize: 5,
  checksumStart: 40,
  checksumOffset: 16,
};

describe("the stream vectors of native/test", () => {
  it("are what the reference makes", () => {
    const same = readFileSync(vectorPath("gso.txt"), "utf8") === gsoVectors();
    expect(same, "native/test/vectors is out of date: run `node test/vectors/native.ts`").toBe(true);
  });

  it("have joined, refused and lost packets in them", () => {
    const text = gsoVectors();
    expect(text.match(/(?<=[: ])01(01|04|05|81|84)/g)?.length).toBeGreaterThan(50);
    expect(text.match(/drop_offload_header/g)?.length).toBeGreaterThan(5);
    expect(text.match(/drop(?!_)/g)?.length).toBeGreaterThan(2);
    expect(text.match(/^lost: [1-9]/gm)?.length).toBeGreaterThan(1);
  });
});

describe("the segmentation reference", () => {
  it("counts sequence numbers on, leaves CWR to the first and FIN and PSH to the last", () => {
    const { packets, cut } = segment(HEADER, SUPER);
    expect(cut).toBe(true);
    expect(packets.map((one) => toHex(one.subarray(44, 48)))).toEqual(["fffffffd", "00000002", "00000007"]);
    const flags = packets.map((one) => one[53]);
    expect(flags).toEqual([0x10 | 0x40 | 0x80, 0x10 | 0x40, 0x10 | 0x40 | 0x08 | 0x01]);
    expect(packets.map((one) => toHex(one.subarray(60)))).toEqual(["0102030405", "060708090a", "0b0c"]);
    expect(packets.map((one) => toHex(one.subarray(4, 6)))).toEqual(["0019", "0019", "0016"]);
    // Worked out by hand from RFC 8200 8.1 for the last one.
    const last = packets[2] as Uint8Array;
    let sum = 0x16 + 6;
    for (let at = 8; at < last.length; at += 2) sum += ((last[at] as number) << 8) | (last[at + 1] ?? 0);
    expect(sum % 0xffff).toBe(0);
  });

  it("refuses headers that lie", () => {
    for (const lie of [{ gsoSize: 0 }, { gsoType: 3 }, { gsoType: GSO.tcp4 }, { gsoType: GSO.udp }]) {
      expect(segment({ ...HEADER, ...lie }, SUPER).fate).toBe("drop_offload_header");
    }
    const alone = { ...HEADER, gsoType: GSO.none };
    expect(segment({ ...alone, checksumStart: 39 }, SUPER).fate).toBe("drop_offload_header");
    expect(segment({ ...alone, checksumOffset: 32 }, SUPER).fate).toBe("drop_offload_header");
    expect(segment(alone, SUPER).fate).toBe("ok");
  });

  it("joins what it cut, and nothing of another traffic class", () => {
    const { payloads } = outbound({ ...HEADER, gsoType: GSO.tcp6 }, SUPER, PAIR);
    const one = coalesce(payloads, "hit", OTHER).written;
    expect(one.map(({ count, virtio }) => [count, virtio.gsoType])).toEqual([[3, GSO.tcp6 | GSO.ecn]]);
    const marked = payloads.map((payload, i) => (i === 1 ? { ...payload, trafficClass: 3 } : payload));
    expect(coalesce(marked, "hit", OTHER).written.map(({ count }) => count)).toEqual([1, 1, 1]);
    expect(coalesce(marked, "hit", OTHER).written[0]?.virtio).toEqual(PLAIN);
  });
});
