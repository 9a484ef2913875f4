import type { Hit } from "../core/types.ts";
import type { Rhash } from "./suites.ts";
export interface Puzzle {
  readonly rhash: Rhash;
  readonly i: Uint8Array;
  readonly hitI: Hit;
  readonly hitR: Hit;
  readonly k: number;
}
export function solve(
  _puzzle: Puzzle & { readonly start: Uint8Array; readonly attempts: number },
): Uint8Array | undefined {
  throw new Error("not written yet");
}
export function puzzleValid(_solution: Puzzle & { readonly j: Uint8Array }): boolean {
  throw new Error("not written yet");
}
