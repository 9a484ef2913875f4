/** Memory goes back to the system when a storm is over, and only then. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { Tidy, type TidySystem } from "../../src/runtime/tidy.ts";

const MIB = 1 << 20;

function world(): TidySystem & { bytes: number; busy: number; done: string[] } {
  const self = {
    bytes: 100 * MIB,
    busy: 0,
    done: [] as string[],
    resident: () => self.bytes,
    utilization: () => self.busy,
    collect: () => {
      self.done.push("collect");
      self.bytes = 90 * MIB;
    },
  };
  return self;
}

describe("tidying", () => {
  afterEach(() => void vi.useRealTimers());

  it("collects first and trims then, once, until memory has grown again", () => {
    const system = world();
    const record = (what: string) => () => void system.done.push(what);
    const tidy = new Tidy(record("trim"), system, record("elsewhere"));
    tidy.look();
    tidy.look();
    system.bytes = 97 * MIB;
    tidy.look();
    // The second one is for what other threads freed.
    expect(system.done).toEqual(["elsewhere", "collect", "trim", "trim"]);
    system.done.length = 0;
    tidy.look();
    expect(system.done).toEqual([]);
    system.bytes = 98 * MIB;
    tidy.look();
    expect(system.done).toEqual(["elsewhere", "collect", "trim"]);
    tidy.stop();
  });

  it("waits while the main thread is busy", () => {
    const system = world();
    const tidy = new Tidy(() => undefined, system);
    system.busy = 0.5;
    tidy.look();
    expect(tidy.runs).toBe(0);
    system.busy = 0.05;
    tidy.look();
    expect(tidy.runs).toBe(1);
    tidy.stop();
  });

  it("looks every ten seconds until it is stopped", () => {
    vi.useFakeTimers();
    const system = world();
    const tidy = new Tidy(() => undefined, system);
    vi.advanceTimersByTime(10_000);
    expect(tidy.runs).toBe(1);
    tidy.stop();
    system.bytes = 200 * MIB;
    vi.advanceTimersByTime(60_000);
    expect(tidy.runs).toBe(1);
  });
});
