/** Writes the seeds of native/fuzz/corpus from the vectors: `node test/vectors/fuzz-corpus.ts`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { concat, fromHex } from "../../src/core/bytes.ts";
import { beetVectors } from "./beet-cases.ts";
import { gsoVectors } from "./gso-directed.ts";
import { espVectors } from "./native.ts";

type Block = Readonly<Record<string, string>>;

function blocks(text: string): readonly Block[] {
  return text
    .split("\n\n")
    .slice(1)
    .map((block) =>
      Object.fromEntries(
        block
          .trimEnd()
          .split("\n")
          .map((line) => line.split(": ") as [string, string]),
      ),
    );
}

function write(target: string, seeds: readonly Uint8Array[]): void {
  const folder = fileURLToPath(new URL(`../../native/fuzz/corpus/${target}/`, import.meta.url));
  mkdirSync(folder, { recursive: true });
  for (const [i, seed] of seeds.entries()) writeFileSync(`${folder}seed-${i}`, seed);
}

/** Every n-th of a list, so that a corpus stays small. */
function some<T>(list: readonly T[], count: number): readonly T[] {
  const step = Math.max(1, Math.floor(list.length / count));
  return list.filter((_, i) => i % step === 0);
}

const esp = blocks(espVectors()).filter((block) => (block["payload"]?.length ?? 0) < 300);
const beet = blocks(beetVectors()).filter(
  (block) => (block["packet"] ?? block["payload"] ?? "").length < 1200,
);
const out = beet.filter((block) => block["way"] === "out");
const into = beet.filter((block) => block["way"] === "in");
const suite = (block: Block): number => [7, 8, 9, 12, 13].indexOf(Number(block["suite"]));

write("esp_open", [
  ...some(esp, 12).map((block) => concat(Uint8Array.of(suite(block)), fromHex(block["packet"] as string))),
  ...some(into, 24).map((block, i) =>
    concat(
      Uint8Array.of((i % 5) | 8 | ((i % 2) << 4)),
      fromHex(block["payload"] ?? ""),
      Uint8Array.of(1, 2, 2, Number(block["next-header"])),
    ),
  ),
]);
write(
  "translate_out",
  some(out, 40).map((block, i) => concat(Uint8Array.of(7, 40 + i), fromHex(block["packet"] ?? ""))),
);
write(
  "translate_in",
  some(into, 40).map((block) =>
    concat(Uint8Array.of(3, Number(block["next-header"])), fromHex(block["payload"] ?? "")),
  ),
);
write(
  "icmp",
  some(out, 20).map((block) => concat(Uint8Array.of(1), fromHex(block["packet"] ?? ""))),
);

const streams = blocks(gsoVectors()).map((block) =>
  (block["packets"] as string).split(" ").map((one) => fromHex(one)),
);
/** A virtio-net header and a packet, as the target takes them. */
write(
  "offload",
  some(
    streams.flat().filter((one) => one.length < 200),
    120,
  ),
);
/** Choices, length, transport header and data, for each packet between HITs without extension headers. */
write(
  "coalesce",
  some(streams, 40).map((packets, i) =>
    concat(
      ...packets
        .map((one) => one.subarray(10))
        .filter((one) => one.length > 48 && one.length < 40 + 255 && (one[0] as number) >> 4 === 6)
        .slice(0, 20)
        .map((one) => {
          const tcp = one[6] === 6 ? 1 : 0;
          return concat(Uint8Array.of(tcp | 4 | ((i % 3) << 1), one.length - 40), one.subarray(40));
        }),
    ),
  ),
);
