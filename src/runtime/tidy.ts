/**
 * Gives memory back when a storm is over. V8 collects old objects when it needs room and the C library keeps what was
 * freed: after thousands of exchanges a daemon would stay at twice the memory that its associations need.
 */
import { type EventLoopUtilization, performance } from "node:perf_hooks";

/** How often the daemon looks at itself. */
const INTERVAL_MILLIS = 10_000;
/** Nothing is done for less growth, in bytes. */
const WORTHWHILE = 8 << 20;
/** Or after so much work, in milliseconds of the main thread: what it leaves behind may have been there at the last look. */
const WORK_MILLIS = 1_000;
/** Never while the main thread is busy for more than this share of the time. */
const BUSY = 0.2;

/** What is asked and done; tests put something else in its place. */
export interface TidySystem {
  /** Bytes of the process in memory. */
  resident(): number;
  /** Share of the time since the last call in which the main thread was busy, 0 to 1. */
  utilization(): number;
  /** Collects all that can be collected. */
  collect(): void;
}

export class Tidy {
  readonly #system: TidySystem;
  readonly #trim: () => void;
  readonly #timer: NodeJS.Timeout;
  /** Bytes in memory after it was done last. */
  #settled = 0;
  /** Milliseconds of work since then. */
  #worked = 0;
  /** What other threads freed meanwhile can be given back only later. */
  #trimAgain = false;
  readonly #elsewhere: () => void;
  /** Times it was done. */
  runs = 0;

  /** `trim` gives what native code has freed back to the system; `elsewhere` asks other threads to collect. */
  constructor(
    trim: () => void,
    system: TidySystem = processSystem(),
    elsewhere: () => void = () => undefined,
  ) {
    this.#trim = trim;
    this.#elsewhere = elsewhere;
    this.#system = system;
    system.utilization();
    this.#timer = setInterval(() => this.look(), INTERVAL_MILLIS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  look(): void {
    const share = this.#system.utilization();
    this.#worked += share * INTERVAL_MILLIS;
    if (share > BUSY) return;
    const grown = this.#system.resident() >= this.#settled + WORTHWHILE;
    const collect = grown || this.#worked >= WORK_MILLIS;
    if (!collect && !this.#trimAgain) return;
    if (collect) {
      this.#elsewhere();
      this.#system.collect();
      this.#worked = 0;
      this.runs++;
    }
    this.#trim();
    this.#trimAgain = collect;
    this.#settled = this.#system.resident();
  }
}

/**
 * Collects what this thread's V8 can do without. There with --expose-gc, as bin/hipd starts us. Without "last-resort" V8
 * keeps the pages that it emptied.
 */
export function collectAll(): void {
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
}

function processSystem(): TidySystem {
  let last: EventLoopUtilization = performance.eventLoopUtilization();
  return {
    resident: () => process.memoryUsage.rss(),
    utilization: () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
    collect: collectAll,
  };
}
