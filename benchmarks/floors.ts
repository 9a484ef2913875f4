/** What hipd must reach, as ratios of one run wherever that is possible; `make bench-quick` fails below. */

export interface Floor {
  /** Of a value that was measured. */
  readonly name: string;
  readonly kind: "at least" | "at most";
  readonly limit: number;
}

export const FLOORS: readonly Floor[] = [
  { name: "tcp_of_bare", kind: "at least", limit: 0.18 },
  { name: "tcp_lsi_of_bare", kind: "at least", limit: 0.18 },
  { name: "tcp_of_tls_c", kind: "at least", limit: 0.75 },
  { name: "tcp_of_tls_node", kind: "at least", limit: 0.75 },
  { name: "tunnel_cpu_s_per_gb", kind: "at most", limit: 1.8 },
  // "Not less than one stream", with a tenth for the difference of two measurements.
  { name: "tcp4_of_tcp1", kind: "at least", limit: 0.9 },
  { name: "tcp_8900_of_bare", kind: "at least", limit: 0.3 },
  { name: "tcp_no_offloads_of_bare", kind: "at least", limit: 0.45 },
  { name: "udp_of_bare", kind: "at least", limit: 0.7 },
  { name: "rtt_idle_over_bare_ms", kind: "at most", limit: 0.15 },
  { name: "rtt_loaded_ms", kind: "at most", limit: 3.5 },
  { name: "mixed_p99_ms", kind: "at most", limit: 2 },
  { name: "handshakes_of_tls", kind: "at least", limit: 1 },
  { name: "first_ping_ms", kind: "at most", limit: 12 },
  { name: "ready_ms", kind: "at most", limit: 500 },
  { name: "memory_mb", kind: "at most", limit: 120 },
];

/** The floors among these values that are missed; values without a floor are only told. */
export function missed(
  values: Readonly<Record<string, number>>,
  floors: readonly Floor[] = FLOORS,
): readonly Floor[] {
  return floors.filter(({ name, kind, limit }) => {
    const value = values[name];
    if (value === undefined) return false;
    return !(kind === "at least" ? value >= limit : value <= limit);
  });
}

export function floorText(floor: Floor, value: number): string {
  return `${floor.name} is ${value.toFixed(3)} and must be ${floor.kind} ${floor.limit}`;
}

/** A measurement that gives some values at once. */
export interface Check {
  readonly name: string;
  measure(): Promise<Readonly<Record<string, number>>>;
}

export interface Outcome {
  readonly values: Readonly<Record<string, number>>;
  /** Checks that missed a floor at first and were measured again; the values are those of the second time. */
  readonly retried: readonly string[];
  readonly missed: readonly Floor[];
}

/** Measures all; what misses a floor gets one more chance, while `mayRetry` says that there is time. */
export async function runChecks(
  checks: readonly Check[],
  mayRetry: () => boolean,
  tell: (line: string) => void,
  floors: readonly Floor[] = FLOORS,
): Promise<Outcome> {
  const values: Record<string, number> = {};
  const retry: { check: Check; reason: string }[] = [];
  for (const check of checks) {
    const found = await check.measure();
    Object.assign(values, found);
    const below = missed(found, floors);
    if (below.length === 0) continue;
    const reason = below.map((floor) => floorText(floor, found[floor.name] as number)).join("; ");
    retry.push({ check, reason });
  }
  const retried: string[] = [];
  for (const { check, reason } of retry) {
    if (!mayRetry()) {
      tell(`no time to measure ${check.name} again: ${reason}`);
      continue;
    }
    tell(`measuring ${check.name} again: ${reason}`);
    Object.assign(values, await check.measure());
    retried.push(check.name);
  }
  return { values, retried, missed: missed(values, floors) };
}
