/** Medians, spreads and ratios of a few samples, and whether a run was too noisy to believe. */

export interface Summary {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** (high - low) / median: how much the rounds differ. */
  readonly spread: number;
  readonly samples: readonly number[];
}

export function summarize(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
  const [low, high] = [sorted[0] ?? 0, sorted.at(-1) ?? 0];
  return { median, low, high, spread: median === 0 ? 0 : (high - low) / median, samples };
}

/** Median of the ratios round by round: what one round shares with the next, like a slow host, cancels out. */
export function pairedRatio(samples: readonly number[], base: readonly number[]): number {
  const ratios = samples.map((sample, i) => sample / (base[i] ?? Number.NaN)).filter(Number.isFinite);
  return ratios.length === 0 ? Number.NaN : summarize(ratios).median;
}

/** Median of the differences round by round. */
export function pairedDifference(samples: readonly number[], base: readonly number[]): number {
  const differences = samples.map((sample, i) => sample - (base[i] ?? Number.NaN)).filter(Number.isFinite);
  return differences.length === 0 ? Number.NaN : summarize(differences).median;
}

/** The smallest sample that at least `percent` of the samples do not exceed; NaN when there are none. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1] ?? Number.NaN;
}

/** Share of the time that the hypervisor may take away, and how far rounds may differ, before a run is called noisy. */
export const MAX_STEAL = 0.02;
export const MAX_SPREAD = 0.5;

/** Why this run should be repeated on a quieter machine: one line for each reason. */
export function noise(
  rows: readonly { readonly contestant: string; readonly summary: Summary }[],
  steals: readonly number[],
): string[] {
  const worst = Math.max(0, ...steals);
  const restless = rows.filter((row) => row.summary.spread > MAX_SPREAD).map((row) => row.contestant);
  return [
    ...(worst > MAX_STEAL
      ? [`noisy: the hypervisor took up to ${(worst * 100).toFixed(1)} % of the time away`]
      : []),
    ...(restless.length > 0
      ? [`noisy: the rounds of ${restless.join(", ")} differ by more than ${MAX_SPREAD * 100} %`]
      : []),
  ];
}
