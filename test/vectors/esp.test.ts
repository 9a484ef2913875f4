import { createDecipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { concat, fromHex, toHex } from "../../src/core/bytes.ts";
import type { EspSuite } from "../../src/hip/sa.ts";
import { inferSequence, open, type ReferenceSa, seal } from "../esp-reference.ts";
import { espVectors, sequenceVectors, vectorPath } from "./native.ts";

const REMAKE = "native/test/vectors is out of date: run `node test/vectors/native.ts`";

function read(name: string): readonly Readonly<Record<string, string>>[] {
  return readFileSync(vectorPath(name), "utf8")
    .split("\n\n")
    .slice(1)
    .map((block) => Object.fromEntries(block.trimEnd().split("\n").map(field)));
}

function field(line: string): readonly [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}

describe("the vectors of native/test", () => {
  it("ESP packets are what the reference makes", () => {
    expect(readFileSync(vectorPath("esp.txt"), "utf8") === espVectors(), REMAKE).toBe(true);
  });

  it("sequence numbers are what the reference infers", () => {
    expect(readFileSync(vectorPath("sequence.txt"), "utf8") === sequenceVectors(), REMAKE).toBe(true);
  });

  it("the reference opens each, and none of another sequence number or with a changed byte", () => {
    const vectors = read("esp.txt");
    expect(vectors.length).toBeGreaterThan(80);
    for (const vector of vectors) {
      const sa: ReferenceSa = {
        suite: Number(vector["suite"]) as EspSuite,
        encryptionKey: fromHex(vector["encryption"] as string),
        integrityKey: fromHex(vector["integrity"] as string),
        spi: Number(vector["spi"]),
      };
      const sequence = BigInt(vector["sequence"] as string);
      const packet = fromHex(vector["packet"] as string);
      const opened = open(sa, sequence, packet);
      expect(opened && toHex(opened.payload)).toBe(vector["payload"]);
      expect(opened?.nextHeader).toBe(Number(vector["next-header"]));
      expect(open(sa, sequence + (1n << 32n), packet)).toBeUndefined();
      packet[packet.length - 1] = (packet[packet.length - 1] as number) ^ 1;
      expect(open(sa, sequence, packet)).toBeUndefined();
    }
  });

  it("node:crypto opens the published AES-GCM ESP cases", () => {
    const vectors = read("gcm-esp.txt");
    expect(vectors.length).toBe(8);
    for (const vector of vectors) {
      const key = fromHex(vector["key"] as string);
      const nonce = fromHex(`${vector["salt"]}${vector["iv"]}`);
      const aes = createDecipheriv(key.length === 16 ? "aes-128-gcm" : "aes-256-gcm", key, nonce);
      aes.setAAD(fromHex(vector["aad"] as string)).setAuthTag(fromHex(vector["icv"] as string));
      const text = concat(aes.update(fromHex(vector["sealed"] as string)), aes.final());
      expect(toHex(text)).toBe(vector["text"]);
    }
  });
});

describe("the ESP reference", () => {
  it("pads with 1, 2, 3 to whole words and blocks", () => {
    const sa: ReferenceSa = {
      suite: 7,
      encryptionKey: new Uint8Array(0),
      integrityKey: new Uint8Array(32),
      spi: 0x11223344,
    };
    const packet = seal(sa, 0x1_0000_0002n, 17, Uint8Array.of(0xaa, 0xbb, 0xcc));
    expect(toHex(packet.subarray(0, 16))).toBe(`1122334400000002aabbcc0102030311`);
    expect(packet.length).toBe(8 + 8 + 16);
  });

  it("infers the worked cases of RFC 4303 A2.2", () => {
    // Case A: the window lies within one subspace.
    expect(inferSequence(100, 5000n, 4096n)).toBe((1n << 32n) + 100n);
    expect(inferSequence(4000, 5000n, 4096n)).toBe(4000n);
    // Case B: it began in the subspace before.
    expect(inferSequence(0xfffffff0, (1n << 32n) + 10n, 4096n)).toBe(0xfffffff0n);
    expect(inferSequence(20, (1n << 32n) + 10n, 4096n)).toBe((1n << 32n) + 20n);
  });
});
