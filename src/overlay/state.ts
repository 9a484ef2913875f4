/** What the overlay wants kept across restarts: plain data, ready for JSON. */
import { canonicalIp, parseIp } from "../core/ip.ts";
import type { Endpoint } from "../core/types.ts";
import { MAX_LOCATORS } from "./peers.ts";

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
  /** HITs of the peers that there was an association with, and where they were last: address and port. */
  readonly associations: readonly (readonly [hit: string, locators: readonly SavedLocator[]])[];
}

export type SavedLocator = readonly [address: string, port: number];

/** Reads what an earlier run saved. Undefined for anything else than such a record; damaged entries are left out. */
export function parseState(saved: unknown): SavedState | undefined {
  if (typeof saved !== "object" || saved === null) return undefined;
  const record = saved as Readonly<Record<string, unknown>>;
  const { version, lsiPrefix, ownLsi, lsis, discovered, associations } = record;
  if (version !== 1 || typeof lsiPrefix !== "string" || typeof ownLsi !== "string") return undefined;
  return {
    version: 1,
    lsiPrefix,
    ownLsi,
    lsis: pairs(lsis),
    discovered: pairs(discovered),
    associations: associationsOf(associations),
  };
}

/** Anything may stand in a file: what is no locator is left out. */
function associationsOf(value: unknown): SavedState["associations"] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry): SavedState["associations"][number][] => {
    if (!Array.isArray(entry)) return [];
    const [hit, locators] = entry as readonly unknown[];
    if (typeof hit !== "string" || !/^[0-9a-f]{32}$/.test(hit) || !Array.isArray(locators)) return [];
    return [[hit, locators.filter(isLocator).slice(0, MAX_LOCATORS)]];
  });
}

function isLocator(value: unknown): value is SavedLocator {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [address, port] = value as readonly unknown[];
  if (typeof address !== "string" || parseIp(address) === undefined) return false;
  return (
    canonicalIp(address) === address && Number.isInteger(port) && Number(port) >= 0 && Number(port) <= 65_535
  );
}

export function endpointOf([address, port]: SavedLocator): Endpoint {
  return { address, port };
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
