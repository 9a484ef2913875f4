/** The text form of the vectors that native/test reads. */
import { createHash } from "node:crypto";
import { toHex } from "../../src/core/bytes.ts";

export type Fields = Readonly<Record<string, string | number | bigint | Uint8Array>>;

/** Bytes that are the same in each run: SHA-256 of a label and a counter. */
export function fixedBytes(label: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0, i = 0; at < length; at += 32, i++) {
    const block = createHash("sha256").update(`${label} ${i}`).digest();
    bytes.set(block.subarray(0, Math.min(32, length - at)), at);
  }
  return bytes;
}

/** Blocks of `key: value` lines, parted by empty lines. */
export function vectorText(comment: string, blocks: readonly Fields[]): string {
  const lines = [`# ${comment} Made by test/vectors/native.ts.`];
  for (const block of blocks) {
    lines.push("");
    for (const [key, value] of Object.entries(block)) {
      lines.push(`${key}: ${value instanceof Uint8Array ? toHex(value) : value}`.trimEnd());
    }
  }
  return `${lines.join("\n")}\n`;
}
