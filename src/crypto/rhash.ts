/** RHASH and the keyed hash that belongs to it (RFC 7401 2.3, 6.4.1; for suite 5 docs/decisions/0001-hit-suite-5.md). */
import { createHash, hash } from "node:crypto";
import { kmac128 } from "@noble/hashes/sha3-addons.js";
import { fromLatin1, plain, toLatin1 } from "./plain.ts";
import { type Rhash, rhashLength } from "./suites.ts";

/** What HMAC pads its key to (FIPS 180-4 1). */
const BLOCK_BYTES = { sha256: 64, sha384: 128 } as const;

/** cSHAKE128 without function name and customization is SHAKE128 (SP 800-185 3.3), which OpenSSL has. */
export function rhash(name: Rhash, bytes: Uint8Array): Uint8Array {
  if (name === "cshake128") {
    return plain(
      createHash("shake128", { outputLength: rhashLength(name) })
        .update(bytes)
        .digest(),
    );
  }
  return fromLatin1(hash(name, bytes, "binary"));
}

/** RHASH as a text with one character for each byte: Node makes one in a third of the time that a Buffer takes. */
export function rhashText(name: Rhash, bytes: Uint8Array): string {
  return name === "cshake128" ? toLatin1(rhash(name, bytes)) : hash(name, bytes, "binary");
}

/** HMAC with RHASH; KMAC128 with an output of RHASH_len for cSHAKE128 (RFC 9374 3.4.2). */
export function hmac(name: Rhash, key: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (name === "cshake128") return kmac128(key, bytes, { dkLen: rhashLength(name) });
  return hmacOfHash(name, key, bytes);
}

/** RFC 2104 2, from two hashes: Node takes longer to make an `Hmac` and its key than OpenSSL to hash. */
function hmacOfHash(name: "sha256" | "sha384", key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const block = BLOCK_BYTES[name];
  const short = key.length > block ? rhash(name, key) : key;
  const inner = new Uint8Array(block + bytes.length);
  const outer = new Uint8Array(block + rhashLength(name));
  inner.set(short);
  outer.set(short);
  for (let at = 0; at < block; at++) {
    inner[at] = (inner[at] as number) ^ 0x36;
    outer[at] = (outer[at] as number) ^ 0x5c;
  }
  inner.set(bytes, block);
  outer.set(rhash(name, inner), block);
  return rhash(name, outer);
}
