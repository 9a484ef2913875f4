/**
 * Time for the driver. The kernel's clock that advances through suspend is CLOCK_BOOTTIME; Node's fast clock is CLOCK_MONOTONIC,
 * which stands still then. Node shows the former only through `os.uptime()` (10 ms steps, a file read), so the fast clock is used
 * and corrected from the slow one: after a suspend the time slept is added. Neither ever goes back.
 */
import { uptime } from "node:os";
import type { Instant } from "../core/types.ts";
import type { Alarm, Clock } from "../driver/ports.ts";

/** How often the slow clock is asked, at most. */
const CHECK_EVERY = 1_000;
/** A smaller difference is the slow clock's granularity, not a suspend. */
const SUSPEND_AT_LEAST = 250;
/** Node's timers stand still while suspended, so no single one is longer than this: a resume is noticed within it. */
const LONGEST_TIMER = 2_000;

/** Both in milliseconds. */
export interface RawClocks {
  monotonic(): number;
  boot(): number;
  wall(): number;
}

const REAL: RawClocks = {
  monotonic: () => performance.now(),
  boot: () => uptime() * 1000,
  wall: () => Date.now(),
};

export class SystemClock implements Clock {
  readonly #raw: RawClocks;
  /** Time slept so far. */
  #slept = 0;
  #checkedAt: number;
  readonly #difference: number;
  #offset = 0;

  /** `since`: what a predecessor's clock showed, and the time since the boot then: this one goes on from there. */
  constructor(raw: RawClocks = REAL, since?: { readonly now: Instant; readonly boot: number }) {
    this.#raw = raw;
    this.#checkedAt = raw.monotonic();
    this.#difference = raw.boot() - this.#checkedAt;
    if (since !== undefined)
      this.#offset = since.now + Math.max(0, raw.boot() - since.boot) - this.#checkedAt;
  }

  /** Time since the boot, in milliseconds. */
  boot(): number {
    return this.#raw.boot();
  }

  now(): Instant {
    const monotonic = this.#raw.monotonic();
    if (monotonic - this.#checkedAt >= CHECK_EVERY) this.#check(monotonic);
    return (monotonic + this.#slept + this.#offset) as Instant;
  }

  wall(): number {
    return this.#raw.wall();
  }

  /** Looks for a suspend now instead of at the next second: for whoever has just been woken by a timer. */
  check(): void {
    this.#check(this.#raw.monotonic());
  }

  #check(monotonic: number): void {
    this.#checkedAt = monotonic;
    const slept = this.#raw.boot() - monotonic - this.#difference;
    if (slept > this.#slept + SUSPEND_AT_LEAST) this.#slept = slept;
  }
}

/** One timer that is never late by more than a suspend plus 2 seconds of Node's own time. */
export class SystemAlarm implements Alarm {
  readonly #clock: SystemClock;
  #timer: NodeJS.Timeout | undefined;
  #at: Instant | undefined;
  /** Called when the time set last has come. */
  onFire: () => void = () => {};

  constructor(clock: SystemClock) {
    this.#clock = clock;
  }

  set(at: Instant | undefined): void {
    // It mostly is the same one as before: under load this is called for each packet.
    if (at !== undefined && at === this.#at && this.#timer !== undefined) return;
    this.#at = at;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    if (at !== undefined) this.#arm(at);
  }

  #arm(at: Instant): void {
    const wait = Math.min(LONGEST_TIMER, Math.max(0, Math.ceil(at - this.#clock.now())));
    this.#timer = setTimeout(() => this.#fired(), wait);
  }

  #fired(): void {
    this.#timer = undefined;
    this.#clock.check();
    const at = this.#at;
    if (at === undefined) return;
    if (this.#clock.now() < at) {
      this.#arm(at);
      return;
    }
    this.#at = undefined;
    this.onFire();
  }
}
