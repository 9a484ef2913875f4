/** Counters and gauges of the control plane as plain data, ready for any exporter. */
import { type HostGauges, STATE_NAMES, type StateName } from "../hip/io.ts";
import type { Protocol } from "./overlay.ts";
import { isUnreachable, isUp } from "./peer-metrics.ts";
import type { Peer } from "./peers.ts";

/** Upper bounds in seconds of the buckets of the exchange duration histogram. */
export const EXCHANGE_BUCKETS: readonly number[] = [
  0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
];

/** The same for handovers: from the moment that the change was noticed until traffic flowed again. */
export const HANDOVER_BUCKETS: readonly number[] = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30,
];

/** Distinct drop reasons that are counted by name; more of them are counted as "other". */
export const MAX_REASONS = 256;

export interface Histogram {
  /** Upper bounds in seconds, ascending; the last bucket (above all bounds) is implied. */
  readonly bounds: readonly number[];
  /** Observations per bucket, not cumulative; one more than `bounds`. */
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}

export interface Metrics {
  readonly associationsByState: Readonly<Record<StateName, number>>;
  readonly exchangesCompleted: { readonly initiator: number; readonly responder: number };
  readonly exchangesFailed: { readonly initiator: number; readonly responder: number };
  readonly exchangeSeconds: Histogram;
  /** Discarded HIP packets by reason. */
  readonly drops: Readonly<Record<string, number>>;
  readonly events: Readonly<Record<string, number>>;
  /** By "reason outcome"; outcome is "completed" or "failed". */
  readonly handovers: Readonly<Record<string, number>>;
  readonly handoverSeconds: Histogram;
  /** By "side state": "own host", "peer ACTIVE", ... */
  readonly locators: Readonly<Record<string, number>>;
  readonly puzzleDifficulty: number;
  readonly jobsInFlight: number;
  readonly r1Generations: number;
  readonly peers: number;
  /** Those that packets flow to. */
  readonly peersUp: number;
  /** Those that did not answer when they were called last, or went silent. */
  readonly peersUnreachable: number;
  readonly lsiEntries: number;
  readonly requestsWaiting: number;
  /** Things refused because a named table was full, by the table's name. */
  readonly overflows: Readonly<Record<string, number>>;
}

class Buckets {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  add(seconds: number): void {
    const bucket = this.#bounds.findIndex((bound) => seconds <= bound);
    const index = bucket < 0 ? this.#bounds.length : bucket;
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#sum += seconds;
  }

  histogram(): Histogram {
    const counts = [...this.#counts];
    const count = counts.reduce((total, n) => total + n, 0);
    return { bounds: this.#bounds, counts, sum: this.#sum, count };
  }
}

/** Adds up what the overlay sees passing. */
export class Meter {
  readonly #drops = new Map<string, number>();
  readonly #events = new Map<string, number>();
  readonly #completed = { initiator: 0, responder: 0 };
  readonly #failed = { initiator: 0, responder: 0 };
  readonly #exchanges = new Buckets(EXCHANGE_BUCKETS);
  readonly #handovers = new Map<string, number>();
  readonly #moves = new Buckets(HANDOVER_BUCKETS);

  drop(reason: string): void {
    count(this.#drops, reason);
  }

  event(name: string): void {
    count(this.#events, name);
  }

  /** `millis` is undefined when it is not known how long the exchange took. */
  exchangeCompleted(role: "initiator" | "responder", millis: number | undefined): void {
    this.#completed[role]++;
    if (millis !== undefined) this.#exchanges.add(millis / 1000);
  }

  /** `millis` since the change was noticed, when it came to an end. */
  handover(reason: string, outcome: "completed" | "failed", millis: number | undefined): void {
    count(this.#handovers, `${reason} ${outcome}`);
    if (millis !== undefined) this.#moves.add(millis / 1000);
  }

  exchangeFailed(role: "initiator" | "responder"): void {
    this.#failed[role]++;
  }

  drops(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#drops);
  }

  snapshot(around: {
    readonly states: Iterable<StateName>;
    readonly gauges: HostGauges;
    readonly locators: Readonly<Record<string, number>>;
    readonly peers: Iterable<Peer>;
    readonly host: Protocol;
    readonly lsiEntries: number;
    readonly requestsWaiting: number;
    readonly overflows: Readonly<Record<string, number>>;
  }): Metrics {
    const associationsByState = Object.fromEntries(STATE_NAMES.map((state) => [state, 0])) as Record<
      StateName,
      number
    >;
    for (const state of around.states) associationsByState[state]++;
    return {
      associationsByState,
      exchangesCompleted: { ...this.#completed },
      exchangesFailed: { ...this.#failed },
      exchangeSeconds: this.#exchanges.histogram(),
      handovers: Object.fromEntries(this.#handovers),
      handoverSeconds: this.#moves.histogram(),
      locators: around.locators,
      drops: this.drops(),
      events: Object.fromEntries(this.#events),
      puzzleDifficulty: around.gauges.puzzleDifficulty,
      jobsInFlight: around.gauges.jobsInFlight,
      r1Generations: around.gauges.r1Generations,
      ...countPeers(around.peers, around.host),
      lsiEntries: around.lsiEntries,
      requestsWaiting: around.requestsWaiting,
      overflows: around.overflows,
    };
  }
}

/** The same numbers as a flat list of names and values, for `hipctl counters`. */
export function flatCounters(metrics: Metrics): Readonly<Record<string, number>> {
  const flat: Record<string, number> = {};
  for (const [state, n] of Object.entries(metrics.associationsByState)) {
    flat[`associations_${state.toLowerCase().replace("-", "_")}`] = n;
  }
  flat["exchanges_completed_initiator_total"] = metrics.exchangesCompleted.initiator;
  flat["exchanges_completed_responder_total"] = metrics.exchangesCompleted.responder;
  flat["exchanges_failed_initiator_total"] = metrics.exchangesFailed.initiator;
  flat["exchanges_failed_responder_total"] = metrics.exchangesFailed.responder;
  for (const [words, n] of Object.entries(metrics.handovers)) {
    flat[`handovers_${words.replace(/[ -]/g, "_")}_total`] = n;
  }
  for (const [words, n] of Object.entries(metrics.locators)) {
    flat[`locators_${words.toLowerCase().replace(/[ -]/g, "_")}`] = n;
  }
  for (const [reason, n] of Object.entries(metrics.drops)) flat[`hip_drop_${reason}_total`] = n;
  for (const [name, n] of Object.entries(metrics.events))
    flat[`event_${name.replaceAll("-", "_")}_total`] = n;
  for (const [table, n] of Object.entries(metrics.overflows)) flat[`overflow_${table}_total`] = n;
  flat["puzzle_difficulty"] = metrics.puzzleDifficulty;
  flat["jobs_in_flight"] = metrics.jobsInFlight;
  flat["r1_generations"] = metrics.r1Generations;
  flat["peers"] = metrics.peers;
  flat["peers_up"] = metrics.peersUp;
  flat["peers_unreachable"] = metrics.peersUnreachable;
  flat["lsi_entries"] = metrics.lsiEntries;
  flat["requests_waiting"] = metrics.requestsWaiting;
  return flat;
}

function countPeers(
  all: Iterable<Peer>,
  host: Protocol,
): Pick<Metrics, "peers" | "peersUp" | "peersUnreachable"> {
  let peers = 0;
  let peersUp = 0;
  let peersUnreachable = 0;
  for (const peer of all) {
    peers++;
    if (isUp(peer)) peersUp++;
    if (isUnreachable(peer, host)) peersUnreachable++;
  }
  return { peers, peersUp, peersUnreachable };
}

function count(counts: Map<string, number>, name: string): void {
  const key = counts.has(name) || counts.size < MAX_REASONS ? name : "other";
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
