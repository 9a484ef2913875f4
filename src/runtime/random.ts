/** Unpredictable numbers from the system. */
import { randomBytes } from "node:crypto";
import type { Random } from "../core/random.ts";

export const SYSTEM_RANDOM: Random = {
  bytes: (n) => new Uint8Array(randomBytes(n)),
  u32: () => randomBytes(4).readUInt32BE(0),
};
