/**
 * Fuzzes packet parsing: `node test/fuzz/parse.ts [SECONDS] [SEED]`. Mutates valid packets for that time (default 10 s).
 * Exit status 1 with the seed and the bytes as soon as anything throws; those bytes belong into `REGRESSIONS`.
 */
import { performance } from "node:perf_hooks";
import { fromHex, toHex } from "../../src/core/bytes.ts";
import { CORPUS } from "./corpus.ts";
import { exercise } from "./exercise.ts";
import { mutate, randomOf } from "./mutate.ts";

/** Inputs that once made something throw, in hex. */
const REGRESSIONS: readonly string[] = [];

const seconds = Number(process.argv[2] ?? 10);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
const random = randomOf(seed);
const counts = { packet: 0, refused: 0 };

function run(bytes: Uint8Array): void {
  try {
    counts[exercise(bytes)]++;
  } catch (error) {
    console.error(`fuzz parse: seed ${seed}, after ${counts.packet + counts.refused} inputs`);
    console.error(`input: ${toHex(bytes)}`);
    console.error(error);
    process.exit(1);
  }
}

for (const input of [...CORPUS, ...REGRESSIONS.map(fromHex)]) run(input);
const end = performance.now() + seconds * 1000;
while (performance.now() < end) for (let n = 0; n < 100; n++) run(mutate(CORPUS, random));
console.log(`fuzz parse: ${counts.packet} packets, ${counts.refused} refusals in ${seconds} s, seed ${seed}`);
