import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../../src/core/bytes.ts";
import { checksum, ipv4Packet, ipv6Packet, wirePayload } from "../beet-reference.ts";
import { beetVectors, PAIR } from "./beet-cases.ts";
import { vectorPath } from "./native.ts";

describe("the BEET vectors of native/test", () => {
  it("are what the reference makes", () => {
    const same = readFileSync(vectorPath("beet.txt"), "utf8") === beetVectors();
    expect(same, "native/test/vectors is out of date: run `node test/vectors/native.ts`").toBe(true);
  });

  it("never carry an LSI on the wire", () => {
    const lsis = [toHex(PAIR.localLsi), toHex(PAIR.peerLsi)];
    const payloads = beetVectors().match(/(?<=^payload: ).*$/gm) ?? [];
    expect(payloads.length).toBeGreaterThan(200);
    for (const payload of payloads) for (const lsi of lsis) expect(payload).not.toContain(lsi);
  });
});

describe("the BEET reference", () => {
  it("computes the checksum of RFC 1071's example", () => {
    expect(checksum(fromHex("0001f203f4f5f6f7"))).toBe(0x220d);
  });

  it("makes the same echo in both families", () => {
    const echo = { kind: "echo", reply: false, id: 1, sequence: 2, data: fromHex("616263") } as const;
    const datagram = { origin: "local", upper: echo } as const;
    const ipv4 = ipv4Packet(datagram, PAIR);
    expect(toHex(ipv4.subarray(0, 10))).toBe("4500001f000040004001");
    expect(toHex(ipv4.subarray(12))).toBe("c6120a01c613c8fe0800339a00010002616263");
    expect(checksum(ipv4.subarray(0, 20))).toBe(0);
    expect(wirePayload(datagram, PAIR).nextHeader).toBe(58);
    const packet = ipv6Packet(datagram, PAIR);
    expect(toHex(packet.subarray(0, 8))).toBe("60000000000b3a40");
    expect(packet[40]).toBe(128);
  });
});
