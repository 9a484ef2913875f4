import type { Hit, Result } from "../core/types.ts";
export function hitOf(_algorithm: number, _hostIdentity: Uint8Array): Result<Hit, string> {
  throw new Error("not written yet");
}
