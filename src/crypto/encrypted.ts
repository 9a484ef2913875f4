import type { Result } from "../core/types.ts";
import type { HipCipher } from "./suites.ts";
export function encrypt(
  _cipher: HipCipher,
  _key: Uint8Array,
  _iv: Uint8Array,
  _plainTlv: Uint8Array,
): Uint8Array {
  throw new Error("not written yet");
}
export function decrypt(_cipher: HipCipher, _key: Uint8Array, _body: Uint8Array): Result<Uint8Array, string> {
  throw new Error("not written yet");
}
