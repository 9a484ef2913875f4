import type { Rhash } from "./suites.ts";
export function rhash(_name: Rhash, _bytes: Uint8Array): Uint8Array {
  throw new Error("not written yet");
}
export function hmac(_name: Rhash, _key: Uint8Array, _bytes: Uint8Array): Uint8Array {
  throw new Error("not written yet");
}
