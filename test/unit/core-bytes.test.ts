import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../src/core/bytes.ts";
import { Reader, Writer } from "../../src/core/cursor.ts";

describe("hex", () => {
  test("both ways, in either case", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(toHex(bytes)).toBe(Buffer.from(bytes).toString("hex"));
        expect(toHex(fromHex(toHex(bytes)))).toBe(toHex(bytes));
        expect(toHex(fromHex(toHex(bytes).toUpperCase()))).toBe(toHex(bytes));
      }),
    );
  });

  test("whatever else is a programming error", () => {
    const digits = "0123456789abcdefABCDEF";
    for (let code = 0; code < 0x300; code++) {
      const char = String.fromCharCode(code);
      for (const text of [`0${char}`, `${char}0`, `00${char}0ff`]) {
        if (digits.includes(char)) expect(fromHex(text).length).toBe(text.length / 2);
        else expect(() => fromHex(text)).toThrow("not hex");
      }
    }
    expect(() => fromHex("abc")).toThrow("not hex: abc");
  });
});

describe("cursors", () => {
  test("a reader gives back what a writer wrote", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(u32, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.uint8Array(), (number, big, bytes) => {
        const written = new Writer()
          .u8(number & 0xff)
          .u16(number & 0xffff)
          .u32(number)
          .u64(big)
          .bytes(bytes);
        const reader = new Reader(written.done());
        expect([reader.u8(), reader.u16(), reader.u32(), reader.u64()]).toEqual([
          number & 0xff,
          number & 0xffff,
          number,
          big,
        ]);
        expect(toHex(reader.rest())).toBe(toHex(bytes));
        expect([reader.overrun, reader.remaining]).toEqual([false, 0]);
      }),
    );
  });

  test.each([
    ["u16", 1, (reader: Reader) => reader.u16()],
    ["u32", 3, (reader: Reader) => reader.u32()],
    ["u8", 0, (reader: Reader) => reader.u8()],
  ] as const)("%s past the end reads zero, and nothing can be read afterwards", (_, length, read) => {
    const reader = new Reader(new Uint8Array(length).fill(0xff));
    expect(read(reader)).toBe(0);
    expect([reader.overrun, reader.remaining, reader.offset]).toEqual([true, 0, length]);
    expect(reader.u8()).toBe(0);
    expect(reader.take(1).length).toBe(0);
  });
});
