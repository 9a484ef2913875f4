/** The door to C++: wrong arguments throw a TypeError that says where, whatever they are, and never end the process. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addon } from "../../src/runtime/early.ts";
import type { Addon } from "../../src/runtime/native-addon.ts";

type Call = (...args: readonly unknown[]) => unknown;
const functions = addon() as unknown as Record<keyof Addon, Call>;
/** These take no arguments at all. */
const WITHOUT_ARGUMENTS = new Set(["listLinks", "listAddresses", "listRoutes", "trimMemory"]);

/** Nothing here is right for any argument: no short string, no boolean, no whole number, no byte string that fits. */
const WRONG = fc.constantFrom<unknown>(
  undefined,
  null,
  -1,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 60,
  10n,
  "x".repeat(1000),
  Symbol("s"),
  {},
  [],
  [1, 2, 3, 4],
  new Uint8Array(3),
  new Uint8Array(17),
  new Uint8Array(100_000),
  new Float64Array(4),
  new Int8Array(16),
  new Uint8ClampedArray(4),
  new ArrayBuffer(16),
  new DataView(new ArrayBuffer(4)),
  new Proxy({}, {}),
  Object.freeze({ native: 1 }),
);

/** A right call would change this process for good; an empty list of capabilities is right. */
const NOTHING_KEPT = new Set(["dropPrivileges"]);
/** Tested with what they give: native-service.test.ts. */
const ELSEWHERE = new Set(["makeTicket"]);

describe("the native addon", () => {
  for (const [name, call] of Object.entries(functions)) {
    if (ELSEWHERE.has(name)) continue;
    if (WITHOUT_ARGUMENTS.has(name)) {
      it(`${name} gives text, whatever it is given`, () => {
        expect(typeof call(1, {}, null)).toBe("string");
      });
      continue;
    }
    it(`${name} refuses wrong arguments`, () => {
      expect(() => call()).toThrow(TypeError);
      fc.assert(
        fc.property(fc.array(WRONG, { maxLength: 20 }), (args) => {
          const [first] = args;
          fc.pre(!NOTHING_KEPT.has(name) || !Array.isArray(first) || first.length > 0);
          expect(() => call(...args)).toThrow(TypeError);
        }),
        { numRuns: 300 },
      );
    });
  }

  it("names the function and the argument", () => {
    expect(() => functions.source(new Uint8Array(5))).toThrow("source: bad argument: remote");
    expect(() => functions.drain({}, new Uint8Array(1), 1)).toThrow("drain: bad argument: plane");
  });

  it("knows the local address towards itself", () => {
    expect(functions.source(Uint8Array.of(127, 0, 0, 1))).toEqual(Uint8Array.of(127, 0, 0, 1));
  });
});
