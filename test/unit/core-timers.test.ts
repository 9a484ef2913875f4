/** Deadlines come in their order, whatever was set, moved and removed before. */
import { describe, expect, it } from "vitest";
import { Timers } from "../../src/core/timers.ts";
import type { Instant } from "../../src/core/types.ts";
import { SeededRandom } from "../support/random.ts";

const at = (moment: number): { at: Instant; why: string } => ({ at: moment as Instant, why: `at ${moment}` });

describe("timers", () => {
  it("give the keys that are due, the earliest first, each once", () => {
    const timers = new Timers<string>();
    timers.set("b", at(20));
    timers.set("a", at(10));
    timers.set("c", at(30));
    expect(timers.earliest()).toMatchObject(at(10));
    expect([timers.due(25 as Instant), timers.due(25 as Instant), timers.due(25 as Instant)]).toEqual([
      "a",
      "b",
      undefined,
    ]);
    expect(timers.size).toBe(1);
  });

  it("tell the earliest as it is when they are asked", () => {
    const timers = new Timers<string>();
    timers.set("a", at(10));
    const before = timers.earliest();
    timers.set("a", at(40));
    expect([before?.at, timers.earliest()?.at]).toEqual([10, 40]);
  });

  it("never come early: a part of a millisecond is rounded up", () => {
    const timers = new Timers<string>();
    timers.set("a", at(10.2));
    expect(timers.due(10.9 as Instant)).toBeUndefined();
    expect(timers.due(11 as Instant)).toBe("a");
  });

  it("agree with a list that is sorted each time", () => {
    const random = new SeededRandom(11);
    const timers = new Timers<number>();
    const model = new Map<number, number>();
    for (let step = 0; step < 5_000; step++) {
      const key = random.u32() % 200;
      const what = random.u32() % 8;
      if (what < 5) {
        const moment = random.u32() % 1_000;
        timers.set(key, at(moment));
        model.set(key, moment);
      } else if (what < 7) {
        timers.set(key, undefined);
        model.delete(key);
      } else {
        const now = random.u32() % 300;
        const due = timers.due(now as Instant);
        const first = Math.min(...model.values());
        if (due === undefined) expect(first).toBeGreaterThan(now);
        else {
          expect(model.get(due)).toBe(first);
          expect(first).toBeLessThanOrEqual(now);
          model.delete(due);
        }
      }
      expect(timers.size).toBe(model.size);
      const earliest = timers.earliest()?.at ?? Number.POSITIVE_INFINITY;
      expect(earliest).toBe(Math.min(...model.values()));
    }
  });
});
