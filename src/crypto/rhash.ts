/** RHASH and the keyed hash that belongs to it (RFC 7401 2.3, 6.4.1; for suite 5 docs/decisions/0001-hit-suite-5.md). */
import { createHash, createHmac, createSecretKey, hash } from "node:crypto";
import { kmac128 } from "@noble/hashes/sha3-addons.js";
import { plain } from "./plain.ts";
import { type Rhash, rhashLength } from "./suites.ts";

/** cSHAKE128 without function name and customization is SHAKE128 (SP 800-185 3.3), which OpenSSL has. */
export function rhash(name: Rhash, bytes: Uint8Array): Uint8Array {
  if (name === "cshake128") {
    return plain(
      createHash("shake128", { outputLength: rhashLength(name) })
        .update(bytes)
        .digest(),
    );
  }
  return plain(hash(name, bytes, "buffer"));
}

/** HMAC with RHASH; KMAC128 with an output of RHASH_len for cSHAKE128 (RFC 9374 3.4.2). */
export function hmac(name: Rhash, key: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (name === "cshake128") return kmac128(key, bytes, { dkLen: rhashLength(name) });
  // Node looks longer at a key that is no KeyObject than the HMAC takes.
  return plain(createHmac(name, createSecretKey(key)).update(bytes).digest());
}
