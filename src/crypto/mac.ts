import type { Rhash } from "./suites.ts";
export function hipMac(_rhash: Rhash, _key: Uint8Array, _bytes: Uint8Array): Uint8Array {
  throw new Error("not written yet");
}
export function macValid(_rhash: Rhash, _key: Uint8Array, _bytes: Uint8Array, _mac: Uint8Array): boolean {
  throw new Error("not written yet");
}
