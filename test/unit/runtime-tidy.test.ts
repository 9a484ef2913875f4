/** Memory goes back to the system when a storm is over, and only then. */
import { execFileSync } from "node:child_process";
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

  it("collects after work, too, though memory has not grown since the last time", () => {
    const system = world();
    const tidy = new Tidy(() => undefined, system);
    system.busy = 0.6;
    tidy.look();
    system.busy = 0;
    tidy.look();
    expect(tidy.runs).toBe(1);
    system.busy = 0.15;
    tidy.look();
    expect(tidy.runs).toBe(2);
    system.busy = 0.04;
    for (let i = 0; i < 2; i++) tidy.look();
    expect(tidy.runs).toBe(2);
    tidy.look();
    expect(tidy.runs).toBe(3);
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

/** Half a million objects, of which a tenth stays: how much of what was taken for them is given back. */
const STORM = `
  import { collectAll } from "./src/runtime/tidy.ts";
  const before = process.memoryUsage.rss();
  let kept = Array.from({ length: 500_000 }, (_, i) => ({ i, list: [i] }));
  const full = process.memoryUsage.rss();
  kept = kept.filter((_, i) => i % 10 === 0);
  collectAll();
  console.log((full - process.memoryUsage.rss()) / (full - before), kept.length);
`;

it("gives back the pages that became empty, not only the objects", { timeout: 60_000 }, () => {
  // As bin/hipd starts the daemon.
  const flags = ["--max-semi-space-size=2", "--v8-pool-size=1", "--expose-gc", "--input-type=module"];
  const [share] = execFileSync(process.execPath, [...flags, "-e", STORM], { encoding: "utf8" }).split(" ");
  expect(Number(share)).toBeGreaterThan(0.5);
});
