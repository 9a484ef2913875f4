/** Any stream of packets through the native code: cut, sealed, opened, joined and cut again, as the reference says. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { coalesce } from "../gro-reference.ts";
import { outbound, segment } from "../gso-reference.ts";
import { PAIR } from "../vectors/beet-cases.ts";
import { Dice, gsoBlocks, OTHER, randomStream, type Scale } from "../vectors/gso-cases.ts";
import { vectorText } from "../vectors/vector-text.ts";

const ROOT = join(import.meta.dirname, "../..");
const BUILD = process.env["HIPD_NATIVE_BUILD"] ?? "native/build";
const PROGRAM = join(BUILD, "plain/test/gso_test");

const SCALES: readonly (readonly [name: string, count: number, scale: Scale])[] = [
  ["small segments", 400, { items: 30, segment: 60, whole: 400 }],
  ["long streams", 60, { items: 100, segment: 200, whole: 3000 }],
  ["whole super-packets", 40, { items: 40, segment: 1400, whole: 60_000 }],
];

describe("streams of packets", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "hipd-gso-"));
    const make = ["-s", "-j2", "-f", "native/native.mk", `NATIVE_BUILD=${BUILD}`, PROGRAM];
    execFileSync("make", make, { cwd: ROOT, stdio: ["ignore", "ignore", "pipe"] });
  }, 600_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(SCALES)("come out of the native code as the reference says: %s", (name, count, scale) => {
    const seed = (Date.now() & 0xffffff) << 6;
    const file = join(folder, "streams.txt");
    writeFileSync(file, vectorText(`${name}, seeds from ${seed}.`, gsoBlocks(seed, count, scale)));
    try {
      execFileSync(PROGRAM, [file], { cwd: ROOT, stdio: ["ignore", "ignore", "pipe"] });
    } catch (error) {
      const { stderr } = error as { readonly stderr?: Buffer };
      throw new Error(`seeds ${seed} to ${seed + count - 1}: ${String(stderr ?? error).slice(0, 2000)}`);
    }
  });

  it("are the same packets again when the reference cuts what it joined", () => {
    let joined = 0;
    for (let seed = 0; seed < 400; seed++) {
      const family = seed % 2 === 0 ? "hit" : "lsi";
      const items = randomStream(new Dice(seed), family, { items: 40, segment: 50, whole: 500 });
      const payloads = items.flatMap(({ virtio, packet }) => outbound(virtio, packet, PAIR).payloads);
      const { written } = coalesce(payloads, family, OTHER);
      joined += written.filter(({ count }) => count > 1).length;
      // Flows may overtake one another, and IPv4's identification means nothing with DF: each flow in its order.
      const cut = written.flatMap(({ virtio, packet }) => segment(virtio, packet).packets);
      const alone = payloads.flatMap((one) =>
        coalesce([one], family, OTHER).written.map(({ packet }) => packet),
      );
      expect(byFlow(cut), `seed ${seed}`).toEqual(byFlow(alone));
    }
    expect(joined).toBeGreaterThan(500);
  });
});

function byFlow(packets: readonly Uint8Array[]): ReadonlyMap<string, readonly string[]> {
  const flows = new Map<string, string[]>();
  for (const packet of packets) {
    const bytes = packet.slice();
    const four = (bytes[0] as number) >> 4 === 4;
    if (four && ((bytes[6] as number) & 0x40) !== 0) bytes.fill(0, 4, 6).fill(0, 10, 12);
    const start = four ? 20 : 40;
    const key = `${bytes[four ? 9 : 6]} ${toHex(bytes.subarray(start, start + 4))}`;
    flows.set(key, [...(flows.get(key) ?? []), toHex(bytes)]);
  }
  return flows;
}
