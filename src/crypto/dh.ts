import type { Result } from "../core/types.ts";
export interface DhKey {
  readonly group: number;
  readonly publicValue: Uint8Array;
  readonly privateKey: Uint8Array;
}
/** In order of preference. */
export const supportedDhGroups: readonly number[] = [7, 8, 9, 4, 3];
export function generateDh(_group: number): DhKey {
  throw new Error("not written yet");
}
export function agree(_key: DhKey, _peerPublic: Uint8Array): Result<Uint8Array, string> {
  throw new Error("not written yet");
}
