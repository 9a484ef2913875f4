/** No byte of a signed inventory can be changed without notice, and no text makes the reader throw. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Identity } from "../../src/crypto/identity.ts";
import {
  inventoryOf,
  inventoryText,
  type Member,
  readInventory,
} from "../../src/runtime/inventory/document.ts";

const operator = Identity.generate("ecdsa-p256");
const host = Identity.generate("ed25519");
const other = Identity.generate("rsa-2048");
const members: readonly Member[] = [
  { name: "a", identity: host.publicOnly(), locators: [{ address: "192.0.2.1", port: 10500 }] },
  { name: "b.c", identity: other.publicOnly(), locators: [] },
];
const good = inventoryText(inventoryOf(1_700_000_000_000, 1_800_000_000_000, members), [operator, host]);
const bytes = new TextEncoder().encode(good);

test("the file itself is right", () => {
  expect(readInventory(good).ok).toBe(true);
});

test("any byte that is another one is refused", () => {
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, difference) => {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ difference;
      // As hipctl reads files: bytes that are no UTF-8 are refused before.
      let text: string;
      try {
        text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(changed);
      } catch {
        return;
      }
      expect(readInventory(text).ok).toBe(false);
    }),
    { numRuns: 3000 },
  );
});

test("anything cut out, doubled or put in is refused", () => {
  fc.assert(
    fc.property(fc.nat(good.length), fc.nat(40), fc.string({ maxLength: 20 }), (at, cut, put) => {
      const text = good.slice(0, at) + put + good.slice(at + cut);
      expect(readInventory(text).ok).toBe(text === good);
    }),
    { numRuns: 2000 },
  );
});

test("no JSON makes it throw", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(readInventory(text).ok).toBe(false);
    }),
  );
  const keys = ["format", "version", "created", "expires", "members", "signatures"];
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { minLength: 6, maxLength: 6 }), (values) => {
      const value = Object.fromEntries(keys.map((key, i) => [key, values[i]]));
      const text = `${JSON.stringify({ ...value, format: "hipd-inventory", version: 1 }, null, 2)}\n`;
      expect(readInventory(text).ok).toBe(false);
    }),
  );
  expect(readInventory("[".repeat(200_000)).ok).toBe(false);
});
