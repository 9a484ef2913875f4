import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tlv } from "../../src/wire/packet.ts";
import { KNOWN_PARAMETERS, knownParameter } from "../../src/wire/registry.ts";
import { valuesOf } from "./arbitrary.ts";

describe("every declared parameter", () => {
  test.each(KNOWN_PARAMETERS.map((parameter) => [parameter.name, parameter] as const))(
    "%s: decode(encode(x)) = x, and encode(decode(bytes)) = bytes",
    (_, parameter) => {
      fc.assert(
        fc.property(valuesOf(parameter.shape), (value) => {
          const draft = parameter.of(value);
          expect(draft.type).toBe(parameter.type);
          const decoded = parameter.decode(draft.contents);
          expect(decoded).toEqual(value);
          expect(parameter.of(decoded).contents).toEqual(draft.contents);
        }),
      );
    },
  );

  test.each(KNOWN_PARAMETERS.map((parameter) => [parameter.name, parameter] as const))(
    "%s: decodes any bytes without throwing",
    (_, parameter) => {
      fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => void parameter.decode(bytes)));
    },
  );

  test("has a type of its own, stands in their order, and is found by it", () => {
    const types = KNOWN_PARAMETERS.map(({ type }) => type);
    expect(types).toEqual(types.toSorted((a, b) => a - b));
    for (const parameter of KNOWN_PARAMETERS) expect(knownParameter(parameter.type)).toBe(parameter);
    expect(new Set(types).size).toBe(KNOWN_PARAMETERS.length);
  });

  test("is padded to 8 bytes with zeros, by the formula of RFC 7401 5.2.1", () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.uint8Array({ maxLength: 300 }), (type, contents) => {
        const bytes = tlv({ type, contents });
        expect(bytes.length).toBe(11 + contents.length - ((contents.length + 3) % 8));
        expect(bytes.length % 8).toBe(0);
        expect(bytes.length - 4 - contents.length).toBeLessThan(8);
        expect(bytes.subarray(4 + contents.length).every((byte) => byte === 0)).toBe(true);
      }),
    );
  });
});
