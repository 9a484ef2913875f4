/** Counters and gauges of the control plane as plain data, ready for any exporter. */
import type { StateName } from "../hip/io.ts";

/** Upper bounds in seconds of the buckets of the exchange duration histogram. */
export const EXCHANGE_BUCKETS: readonly number[] = [
  0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
];

/** Distinct drop reasons that are counted by name; more of them are counted as "other". */
export const MAX_REASONS = 256;

export interface Histogram {
  /** Upper bounds in seconds, ascending; the last bucket (above all bounds) is implied. */
  readonly bounds: readonly number[];
  /** Observations per bucket, not cumulative; one more than `bounds`. */
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}

export interface Metrics {
  readonly associationsByState: Readonly<Record<StateName, number>>;
  readonly exchangesCompleted: { readonly initiator: number; readonly responder: number };
  readonly exchangesFailed: { readonly initiator: number; readonly responder: number };
  readonly exchangeSeconds: Histogram;
  /** Discarded HIP packets by reason. */
  readonly drops: Readonly<Record<string, number>>;
  readonly events: Readonly<Record<string, number>>;
  readonly puzzleDifficulty: number;
  readonly jobsInFlight: number;
  readonly r1Generations: number;
  readonly peers: number;
  readonly lsiEntries: number;
  readonly requestsWaiting: number;
  /** Things refused because a named table was full, by the table's name. */
  readonly overflows: Readonly<Record<string, number>>;
}
