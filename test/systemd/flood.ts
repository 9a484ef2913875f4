/** A flood of pings, and for how long none came back. */
import type { Namespace } from "../../tools/lab/lab.ts";
import { monotonic } from "../../tools/lab/pulse.ts";
import type { Background } from "../../tools/lab/shell.ts";

/** Seconds between two pings. */
const INTERVAL = "0.002";

export class Flood {
  readonly #program: Background;
  /** Between the clock that ping prints and the monotonic one. */
  readonly #offset: number;

  private constructor(program: Background) {
    this.#program = program;
    this.#offset = Date.now() - monotonic();
  }

  /** Begins; resolves when the first answer has come. */
  static async start(from: Namespace, address: string): Promise<Flood> {
    const program = from.spawn(["ping", "-n", "-D", "-i", INTERVAL, address]);
    await program.line((line) => line.includes(" time="));
    return new Flood(program);
  }

  /** The longest time without an answer since this moment, in milliseconds. */
  longestGap(since: number): number {
    let before = since;
    let longest = 0;
    for (const line of this.#program.out) {
      const stamp = /^\[([0-9.]+)\].* time=/.exec(line)?.[1];
      if (stamp === undefined) continue;
      const at = Number(stamp) * 1000 - this.#offset;
      if (at < since) continue;
      longest = Math.max(longest, at - before);
      before = at;
    }
    return longest;
  }

  async stop(): Promise<{ readonly sent: number; readonly received: number }> {
    await this.#program.stop("SIGINT");
    const text = this.#program.out.join("\n");
    const match = /([0-9]+) packets transmitted, ([0-9]+) received/.exec(text);
    return { sent: Number(match?.[1]), received: Number(match?.[2]) };
  }
}
