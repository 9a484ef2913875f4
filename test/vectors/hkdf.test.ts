/** RFC 5869 Appendix A.1 to A.3. */
import { hkdf as nobleHkdf } from "@noble/hashes/hkdf.js";
import { sha256, sha384 } from "@noble/hashes/sha2.js";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../src/core/bytes.ts";
import { hkdf } from "../../src/crypto/keymat.ts";

const range = (from: number, to: number) => Uint8Array.from({ length: to - from + 1 }, (_, i) => from + i);

test.each([
  {
    name: "A.1",
    ikm: new Uint8Array(22).fill(0x0b),
    salt: range(0x00, 0x0c),
    info: range(0xf0, 0xf9),
    okm: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  },
  {
    name: "A.2",
    ikm: range(0x00, 0x4f),
    salt: range(0x60, 0xaf),
    info: range(0xb0, 0xff),
    okm:
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09" +
      "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
  },
  {
    name: "A.3",
    ikm: new Uint8Array(22).fill(0x0b),
    salt: new Uint8Array(0),
    info: new Uint8Array(0),
    okm: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
  },
])("$name", ({ ikm, salt, info, okm }) => {
  expect(toHex(hkdf("sha256", salt, ikm, info, okm.length / 2))).toBe(okm);
});

test.each([
  ["sha256", sha256],
  ["sha384", sha384],
] as const)("%s agrees with @noble/hashes over all 255 blocks", (name, hash) => {
  const [ikm, salt, info] = [range(1, 48), range(2, 65), fromHex("20010020")];
  const length = 255 * hash.outputLen;
  expect(toHex(hkdf(name, salt, ikm, info, length))).toBe(toHex(nobleHkdf(hash, ikm, salt, info, length)));
});
