/** Medians and spreads of a few samples. */

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
  return summarize(samples.map((sample, i) => sample / (base[i] ?? Number.NaN)).filter(Number.isFinite))
    .median;
}
