import { describe, expect, it } from "vitest";
import { noise, pairedDifference, pairedRatio, percentile, summarize } from "../../benchmarks/stats.ts";

describe("summarize", () => {
  it("takes the one in the middle of an odd number of samples, in whatever order they come", () => {
    expect(summarize([9, 1, 5])).toMatchObject({ median: 5, low: 1, high: 9, spread: 8 / 5 });
  });

  it("takes the mean of the two in the middle of an even number", () => {
    expect(summarize([4, 1, 2, 100]).median).toBe(3);
  });

  it("keeps the samples in the order of the rounds", () => {
    expect(summarize([3, 1, 2]).samples).toEqual([3, 1, 2]);
  });

  it("has no spread without samples", () => {
    expect(summarize([])).toMatchObject({ median: 0, spread: 0 });
  });
});

describe("ratios", () => {
  it("compares within each round, so that a slow round of both cancels out", () => {
    // Medians of each alone would give 20 / 100.
    expect(pairedRatio([10, 20, 50], [20, 100, 100])).toBe(0.5);
  });

  it("leaves out rounds that have nothing to compare with", () => {
    expect(pairedRatio([10, 20, 30], [20, 0])).toBe(0.5);
    expect(pairedRatio([10], [])).toBeNaN();
  });

  it("gives the median difference round by round", () => {
    expect(pairedDifference([1, 5, 9], [0.5, 1, 8])).toBe(1);
  });
});

describe("percentile", () => {
  it("is the smallest sample that so many do not exceed", () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(hundred, 99)).toBe(99);
    expect(percentile(hundred, 50)).toBe(50);
    expect(percentile(hundred, 100)).toBe(100);
    expect(percentile(hundred, 0)).toBe(1);
    expect(percentile([1, 2, 3], 50)).toBe(2);
    expect(percentile([], 50)).toBeNaN();
  });
});

describe("noise", () => {
  const row = (contestant: string, ...samples: number[]) => ({ contestant, summary: summarize(samples) });

  it("is silent about a quiet run", () => {
    expect(noise([row("bare", 10, 11, 12), row("hipd", 3, 3, 3.2)], [0, 0.01, 0.02])).toEqual([]);
  });

  it("names the time that the hypervisor took away in the worst turn", () => {
    expect(noise([row("bare", 10)], [0, 0.031, 0.001])).toEqual([
      "noisy: the hypervisor took up to 3.1 % of the time away",
    ]);
  });

  it("names the contestants whose rounds differ, and only them", () => {
    const notes = noise([row("bare", 10, 20, 21), row("hipd", 3, 3, 3)], []);
    expect(notes).toEqual(["noisy: the rounds of bare differ by more than 50 %"]);
  });
});
