/** One datagram each millisecond through the overlay (pulse.cc): what was lost, and for how long nothing came. */
import { compiled } from "./compiled.ts";
import type { Namespace } from "./lab.ts";
import type { Background } from "./shell.ts";

const END_MILLIS = 20_000;

/** What the far side saw until now. All times are milliseconds of the monotonic clock. */
export interface PulseReport {
  /** Number of the newest datagram that arrived; -1 when none did. */
  readonly highest: number;
  readonly received: number;
  readonly duplicates: number;
  /** First and last number of each run of datagrams that did not arrive. */
  readonly missing: readonly (readonly [first: number, last: number])[];
  /** Times of at least 5 ms in which nothing arrived. */
  readonly gaps: readonly (readonly [start: number, length: number])[];
  /** The longest time in which the sender did not come to send: the machine was busy. */
  readonly pause: number;
}

/** Now, on the clock of the reports. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function lostOf({ missing }: PulseReport): number {
  return missing.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** The longest gap that overlaps this time; 0 when none of at least 5 ms does. */
export function longestGap({ gaps }: PulseReport, from = 0, to = Number.POSITIVE_INFINITY): number {
  return Math.max(
    0,
    ...gaps.filter(([start, length]) => start + length >= from && start <= to).map(([, length]) => length),
  );
}

export class Pulse {
  readonly #source: Background;
  readonly #sink: Background;
  #asked = 0;

  private constructor(source: Background, sink: Background) {
    this.#source = source;
    this.#sink = sink;
  }

  /** Begins; resolves when the first datagram has arrived. */
  static async start(from: Namespace, to: Namespace, address: string, port: number): Promise<Pulse> {
    const program = await compiled("pulse");
    const sink = to.spawn([program, "receive", `${port}`]);
    await sink.line((line) => line === "listening");
    const source = from.spawn([program, "send", address, `${port}`]);
    const pulse = new Pulse(source, sink);
    await pulse.until(({ received }) => received > 0);
    return pulse;
  }

  async report(): Promise<PulseReport> {
    const wanted = this.#asked++;
    this.#sink.child.stdin.write("\n");
    const line = await this.#sink.until(
      () => this.#sink.out[wanted + 1],
      5_000,
      () => "asking for a report of the pulse",
    );
    return JSON.parse(line) as PulseReport;
  }

  /** The first report that fits; asked for again and again. */
  async until(fits: (report: PulseReport) => boolean, timeoutMillis = 20_000): Promise<PulseReport> {
    const end = monotonic() + timeoutMillis;
    for (;;) {
      const report = await this.report();
      if (fits(report)) return report;
      if (monotonic() > end)
        throw new Error(`after ${timeoutMillis} ms the pulse is still ${JSON.stringify(report)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Resolves when `count` datagrams more than until now have arrived. */
  async beats(count: number, timeoutMillis = 20_000): Promise<PulseReport> {
    const { received } = await this.report();
    return this.until((report) => report.received >= received + count, timeoutMillis);
  }

  /** Ends the sender, waits until what is under way has come, and says how it was. */
  async stop(): Promise<PulseReport> {
    this.#source.child.stdin.end();
    await this.#source.ended();
    let before = await this.report();
    const end = monotonic() + END_MILLIS;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const report = await this.report();
      if (report.received === before.received || monotonic() > end) {
        this.#sink.child.stdin.end();
        await this.#sink.ended();
        return report;
      }
      before = report;
    }
  }
}
