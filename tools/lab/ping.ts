/** The ping of iputils, read. */
import type { Namespace } from "./lab.ts";

export interface PingResult {
  readonly received: number;
  /** Median round trip; 0 when nothing came back. */
  readonly millis: number;
  readonly output: string;
}

/** Options are those of ping(8), after our own. */
export async function ping(
  from: Namespace,
  to: string,
  count = 3,
  options: readonly string[] = [],
): Promise<PingResult> {
  const base = ["ping", "-n", "-c", `${count}`, "-i", "0.2", "-W", "5"];
  const done = await from.attempt([...base, ...options, to]);
  const times = [...done.stdout.matchAll(/ time=([\d.]+) ms/g)]
    .map((match) => Number(match[1]))
    .sort((a, b) => a - b);
  return {
    received: times.length,
    millis: times[times.length >> 1] ?? 0,
    output: done.stdout + done.stderr,
  };
}
