/** A few calls run at once; a storm of them is gathered. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Pace } from "../../src/runtime/pace.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function paced(): { readonly pace: Pace; runs: number; now: number } {
  const self = { runs: 0, now: 1_000, pace: undefined as unknown as Pace };
  self.pace = new Pace(
    () => self.runs++,
    () => self.now,
  );
  return self;
}

it("what comes now and then runs at once", () => {
  const self = paced();
  for (let i = 1; i <= 100; i++) {
    self.now += 10;
    self.pace.ring();
    expect(self.runs).toBe(i);
  }
});

it("what comes in a storm runs together, a moment later, and none is forgotten", () => {
  const self = paced();
  for (let i = 0; i < 100; i++) self.pace.ring();
  const atOnce = self.runs;
  expect(atOnce).toBeLessThan(50);
  vi.advanceTimersByTime(5);
  expect(self.runs).toBe(atOnce + 1);
  self.pace.ring();
  vi.advanceTimersByTime(5);
  expect(self.runs).toBe(atOnce + 2);
  self.now += 1_000;
  self.pace.ring();
  expect(self.runs).toBe(atOnce + 3);
});

it("nothing runs after the end", () => {
  const self = paced();
  for (let i = 0; i < 100; i++) self.pace.ring();
  const { runs } = self;
  self.pace.stop();
  vi.advanceTimersByTime(50);
  expect(self.runs).toBe(runs);
});
