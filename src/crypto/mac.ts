/** The HMACs of HIP packets (RFC 7401 6.4.1): of the hash's natural size, never truncated. */
import { constantTimeEqual } from "../core/bytes.ts";
import { hmac } from "./rhash.ts";
import type { Rhash } from "./suites.ts";

export function hipMac(rhash: Rhash, key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return hmac(rhash, key, bytes);
}

/** Takes time that does not depend on where the two differ. */
export function macValid(rhash: Rhash, key: Uint8Array, bytes: Uint8Array, mac: Uint8Array): boolean {
  return constantTimeEqual(hipMac(rhash, key, bytes), mac);
}
