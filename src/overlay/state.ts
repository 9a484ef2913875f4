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
