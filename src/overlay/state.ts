/** What the overlay wants kept across restarts: plain data, ready for JSON. */

export interface SavedState {
  readonly version: 1;
  /** LSIs are valid for this prefix only. */
  readonly lsiPrefix: string;
  /** The host's own LSI. */
  readonly ownLsi: string;
  /** HIT (32 hex digits) and LSI (dotted quad) of every peer ever known. */
  readonly lsis: readonly (readonly [hit: string, lsi: string])[];
  /** HITs that opportunistic mode found: name of the peer and HIT. */
  readonly discovered: readonly (readonly [name: string, hit: string])[];
}

/** Reads what an earlier run saved. Undefined for anything else than such a record; damaged entries are left out. */
export function parseState(saved: unknown): SavedState | undefined {
  if (typeof saved !== "object" || saved === null) return undefined;
  const { version, lsiPrefix, ownLsi, lsis, discovered } = saved as Readonly<Record<string, unknown>>;
  if (version !== 1 || typeof lsiPrefix !== "string" || typeof ownLsi !== "string") return undefined;
  return { version: 1, lsiPrefix, ownLsi, lsis: pairs(lsis), discovered: pairs(discovered) };
}

function pairs(value: unknown): readonly (readonly [string, string])[] {
  if (!Array.isArray(value)) return [];
  return value.filter(
    (entry): entry is [string, string] =>
      Array.isArray(entry) &&
      entry.length === 2 &&
      typeof entry[0] === "string" &&
      typeof entry[1] === "string",
  );
}
