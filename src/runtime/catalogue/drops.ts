/** Every drop reason there is, with its layer: what `hipctl drops`, `hipctl doctor` and docs/REFERENCE.md tell. */
import { type DropReason, HIP_DROPS, look } from "../../hip/drop-reasons.ts";
import { DATA_DROPS, DRIVER_DROPS } from "./data-drops.ts";

/** "hip": the protocol, "driver": between it and the sockets, "data": the data plane. */
export type DropLayer = "hip" | "driver" | "data";

export interface KnownDrop extends DropReason {
  readonly layer: DropLayer;
  readonly reason: string;
}

export interface CountedDrop extends KnownDrop {
  readonly count: number;
}

export const DROPS: readonly KnownDrop[] = [
  ...rows("hip", HIP_DROPS),
  ...rows("driver", DRIVER_DROPS),
  ...rows("data", DATA_DROPS),
];

const OTHER = look(
  "not in this version's list",
  "hipctl is older than hipd, or the other way round: hipctl version.",
);

/** The drops among the counters that `hipctl counters` shows, the most frequent ones first. */
export function dropsIn(counters: Readonly<Record<string, number>>): readonly CountedDrop[] {
  return Object.entries(counters)
    .flatMap(([name, count]): CountedDrop[] => {
      const match = /^(hip_)?drop_(.+)_total$/.exec(name);
      if (match === null) return [];
      const reason = match[2] as string;
      const known = DROPS.find(
        (row) => row.reason === reason && (row.layer === "hip") === (match[1] !== undefined),
      );
      return [
        known === undefined
          ? { layer: match[1] ? "hip" : "data", reason, ...OTHER, count }
          : { ...known, count },
      ];
    })
    .sort((a, b) => b.count - a.count || (a.reason < b.reason ? -1 : 1));
}

function rows(layer: DropLayer, table: Readonly<Record<string, DropReason>>): readonly KnownDrop[] {
  return Object.entries(table).map(([reason, row]) => ({ layer, reason, ...row }));
}
