/**
 * Writes the vector files that native/test reads, from the slow references: `node test/vectors/native.ts`.
 * A test keeps the files equal to what this makes.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { EspSuite } from "../../src/hip/sa.ts";
import { chosenIv, inferSequence, type ReferenceSa, seal } from "../esp-reference.ts";
import { beetVectors } from "./beet-cases.ts";
import { gsoVectors } from "./gso-directed.ts";
import { type Fields, fixedBytes, vectorText } from "./vector-text.ts";

const SUITES: readonly (readonly [EspSuite, number, number])[] = [
  [7, 0, 32],
  [8, 16, 32],
  [9, 32, 32],
  [12, 20, 0],
  [13, 20, 0],
  [13, 36, 0],
];
const LENGTHS = [0, 1, 2, 3, 13, 14, 15, 16, 17, 40, 64, 127, 512, 1438];
const SEQUENCES = [1n, 2n, 255n, 0x7fffffffn, 0xffffffffn, 0x100000000n, 0x100000001n, 0x2_0000_0005n];

export function espVectors(): string {
  const blocks: Fields[] = [];
  for (const [suite, encryption, integrity] of SUITES) {
    for (const [i, length] of LENGTHS.entries()) {
      const label = `esp ${suite} ${encryption} ${length}`;
      const sa: ReferenceSa = {
        suite,
        encryptionKey: fixedBytes(`${label} encryption`, encryption),
        integrityKey: fixedBytes(`${label} integrity`, integrity),
        spi: 0x1000 + 7 * i,
      };
      const sequence = SEQUENCES[i % SEQUENCES.length] as bigint;
      const nextHeader = [6, 17, 58, 44, 132][i % 5] as number;
      const payload = fixedBytes(`${label} payload`, length);
      const common = {
        suite,
        encryption: sa.encryptionKey,
        integrity: sa.integrityKey,
        spi: sa.spi,
        sequence,
        "next-header": nextHeader,
        payload,
      };
      blocks.push({ ...common, packet: seal(sa, sequence, nextHeader, payload) });
      // Another implementation may choose another IV.
      if (suite !== 7 && i % 4 === 0) {
        const iv = fixedBytes(`${label} iv`, chosenIv(sa, sequence).length);
        blocks.push({ ...common, foreign: 1, packet: seal(sa, sequence, nextHeader, payload, iv) });
      }
    }
  }
  return vectorText("ESP packets.", blocks);
}

export function sequenceVectors(): string {
  const blocks: Fields[] = [];
  const edge = 1n << 32n;
  const tops = [
    0n,
    1n,
    5n,
    4095n,
    8127n,
    8128n,
    100000n,
    edge - 1n,
    edge,
    edge + 1n,
    edge + 4000n,
    edge + 8127n,
  ];
  tops.push(edge + 8128n, 3n * edge - 5n, 3n * edge + 70000n, 0xfffffffen * edge + 17n);
  const lows = [0, 1, 4, 6, 4095, 4096, 8126, 8127, 8128, 70000, 99999, 0x7fffffff, 0x80000000];
  lows.push(0xffffe000, 0xffffe03f, 0xffffe040, 0xffffe041, 0xfffffff0, 0xffffffff);
  for (const window of [64n, 4096n, 8128n]) {
    for (const top of tops) {
      for (const low of lows) {
        blocks.push({ window, top, low, sequence: inferSequence(low, top, window) });
      }
    }
  }
  return vectorText("Upper halves of sequence numbers (RFC 4303 A2.2).", blocks);
}

/** Name and text of each file in native/test/vectors that is made here. */
export const FILES: readonly (readonly [string, () => string])[] = [
  ["esp.txt", espVectors],
  ["sequence.txt", sequenceVectors],
  ["beet.txt", beetVectors],
  ["gso.txt", gsoVectors],
];

export function vectorPath(name: string): string {
  return fileURLToPath(new URL(`../../native/test/vectors/${name}`, import.meta.url));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, make] of FILES) writeFileSync(vectorPath(name), make());
}
