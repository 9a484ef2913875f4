/** The daemon's numbers as Prometheus metrics. Everything is read from the driver at the moment of the scrape. */
import { collectDefaultMetrics, type Metric, Registry } from "prom-client";
import type { DriverMetrics } from "../driver/driver.ts";
import { HIP_DROPS } from "../hip/drop-reasons.ts";
import type { HandoverReason } from "../hip/mobility-state.ts";
import { EVENT_NAMES } from "../overlay/event-catalogue.ts";
import type { Histogram } from "../overlay/metrics.ts";
import type { PeerSample } from "../overlay/peer-metrics.ts";
import { DATA_DROPS, DRIVER_DROPS } from "./catalogue/data-drops.ts";
import { METRICS, type MetricName } from "./catalogue/metrics.ts";
import {
  type Counted,
  DRIVER_COUNTERS,
  FULL,
  JOB_COUNTERS,
  PLANE_COUNTERS,
} from "./catalogue/plane-metrics.ts";
import type { MetricsPage } from "./metrics-server.ts";

export interface MetricsInput {
  readonly driver: DriverMetrics;
  readonly jobs: Readonly<Record<string, number>>;
  /** Of the cloud's metadata service. */
  readonly metadata: Readonly<Record<string, number>>;
  /** Of the DNS responder and client: by subject, then by name. */
  readonly names: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Of as many peers as may have series of their own. */
  readonly peers: readonly PeerSample[];
  readonly version: string;
  readonly stateWriteFailures: number;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];
type Samples = (input: MetricsInput) => readonly Sample[];

/** prom-client's gauges whose names say that they are counters. */
const MISNAMED = [
  "nodejs_active_handles_total",
  "nodejs_active_resources_total",
  "nodejs_active_requests_total",
];

export function createMetricsPage(read: () => MetricsInput): MetricsPage {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  /** One snapshot serves all metrics of a scrape. */
  let input = read();
  for (const [name, samples] of Object.entries(SAMPLES) as [MetricName, Samples][]) {
    registry.registerMetric(metric(name, () => samples(input)));
  }
  for (const [name, of] of Object.entries(HISTOGRAMS) as [MetricName, (from: MetricsInput) => Histogram][]) {
    registry.registerMetric(histogram(name, METRICS[name].help, () => of(input)));
  }
  return {
    contentType: registry.contentType,
    render: () => {
      input = read();
      return registry.metrics();
    },
  };
}

/**
 * What prom-client's registry asks of a metric. Its own counters and gauges would hash the labels of every sample, which
 * with series for each peer takes most of a scrape.
 */
function metric(name: MetricName, samples: () => readonly Sample[]): Metric {
  const { kind, help } = METRICS[name];
  const get = () => ({
    name,
    help,
    type: kind,
    aggregator: "sum",
    values: samples().map(([labels, value]) => ({ labels, value })),
  });
  return { name, get: async () => get(), reset: () => {} } as unknown as Metric;
}

const HISTOGRAMS = {
  hipd_exchange_seconds: (from) => from.driver.overlay.exchangeSeconds,
  hipd_handover_seconds: (from) => from.driver.overlay.handoverSeconds,
} as const satisfies Partial<Record<MetricName, (from: MetricsInput) => Histogram>>;

/** What is read from the tables of native/ and of the edges: src/runtime/catalogue/plane-metrics.ts. */
const TABLES: readonly (readonly [Readonly<Record<string, Counted>>, (from: MetricsInput) => Labelled])[] = [
  [PLANE_COUNTERS, (from) => from.driver.plane],
  [DRIVER_COUNTERS, (from) => from.driver.driver],
  [JOB_COUNTERS, (from) => from.jobs],
];
type Labelled = Readonly<Record<string, number>>;

function counted(metric: MetricName): Samples {
  const rows = TABLES.flatMap(([table, values]) =>
    Object.entries(table)
      .filter(([, row]) => row.metric === metric)
      .map(([name, row]) => ({ name, labels: row.labels, values })),
  );
  return (from) => rows.map(({ name, labels, values }) => [labels, values(from)[name] ?? 0]);
}

function single(value: (input: MetricsInput) => number): Samples {
  return (from) => [[{}, value(from)]];
}

function events(from: MetricsInput, name: string): number {
  return from.driver.overlay.events[name] ?? 0;
}

function byPeer(value: (peer: PeerSample) => number | undefined): Samples {
  return (from) =>
    from.peers.flatMap((peer): Sample[] => {
      const measured = value(peer);
      return measured === undefined ? [] : [[{ peer: peer.name }, measured]];
    });
}

/** Whatever is known to occur is there from the start: an increase from nothing cannot be seen by `rate()`. */
function named(
  known: readonly string[],
  label: string,
  values: Labelled,
  more: Labels = {},
): readonly Sample[] {
  const all = new Map<string, number>(known.map((name) => [name, 0]));
  for (const [name, value] of Object.entries(values)) all.set(name, value);
  return [...all].map(([name, value]) => [{ ...more, [label]: name }, value]);
}

const DROP = /^drop_(.+)_total$/;
const OVERFLOW = /^overflow_(.+)_total$/;

function matching(values: Labelled, pattern: RegExp): Labelled {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => {
      const found = pattern.exec(name)?.[1];
      return found === undefined ? [] : [[found, value]];
    }),
  );
}

/** `value` of drops that say that something was full, by the table that it was. */
function full(drops: Labelled, tables: Readonly<Record<string, string>>): Labelled {
  return Object.fromEntries(Object.entries(tables).map(([reason, table]) => [table, drops[reason] ?? 0]));
}

const HANDOVER_REASONS: Readonly<Record<HandoverReason, true>> = {
  "address-gone": true,
  "address-preferred": true,
  "peer-moved": true,
  "peer-preferred": true,
  "source-moved": true,
  "path-dead": true,
  "lowest-rtt": true,
  asked: true,
};

const SAMPLES: { readonly [M in Exclude<MetricName, keyof typeof HISTOGRAMS>]: Samples } = {
  hipd_build_info: (from) => [[{ version: from.version, node: process.versions.node }, 1]],
  hipd_associations: (from) => named([], "state", from.driver.overlay.associationsByState),
  hipd_exchanges_total: ({ driver: { overlay } }) =>
    (["initiator", "responder"] as const).flatMap((role): Sample[] => [
      [{ role, result: "completed" }, overlay.exchangesCompleted[role]],
      [{ role, result: "failed" }, overlay.exchangesFailed[role]],
    ]),
  hipd_rekeys_total: (from) => [
    [{ result: "completed" }, events(from, "association-rekeyed")],
    [{ result: "failed" }, events(from, "rekey-failed")],
  ],
  hipd_clones_detected_total: single((from) => events(from, "clone-detected")),
  hipd_puzzle_difficulty: single((from) => from.driver.overlay.puzzleDifficulty),
  hipd_r1_generations: single((from) => from.driver.overlay.r1Generations),
  hipd_lsis: single((from) => from.driver.overlay.lsiEntries),

  hipd_peers: single((from) => from.driver.overlay.peers),
  hipd_peers_up: single((from) => from.driver.overlay.peersUp),
  hipd_peers_unreachable: single((from) => from.driver.overlay.peersUnreachable),
  hipd_peers_without_series: single((from) => from.driver.overlay.peers - from.peers.length),
  hipd_peer_up: byPeer((peer) => (peer.up ? 1 : 0)),
  hipd_peer_unreachable: byPeer((peer) => (peer.unreachable ? 1 : 0)),
  hipd_peer_rtt_seconds: byPeer((peer) => (peer.rttMillis === undefined ? undefined : peer.rttMillis / 1000)),
  hipd_peer_loss_ratio: byPeer((peer) => peer.loss),
  hipd_peer_path_mtu_bytes: byPeer((peer) => peer.pathMtu),
  hipd_peer_esp_bytes_total: (from) =>
    from.peers.flatMap(({ name, txBytes, rxBytes }): Sample[] =>
      txBytes === undefined || rxBytes === undefined
        ? []
        : [
            [{ peer: name, direction: "tx" }, txBytes],
            [{ peer: name, direction: "rx" }, rxBytes],
          ],
    ),

  hipd_handovers_total: (from) => {
    const known = Object.keys(HANDOVER_REASONS).flatMap((reason) => [
      `${reason} completed`,
      `${reason} failed`,
    ]);
    return named(known, "words", from.driver.overlay.handovers).map(([{ words = "" }, value]) => {
      const [reason = "", result = ""] = words.split(" ");
      return [{ reason, result }, value];
    });
  },
  hipd_locators: (from) =>
    Object.entries(from.driver.overlay.locators).map(([words, value]) => {
      const [side = "", state = ""] = words.split(" ");
      return [{ side, state }, value];
    }),
  hipd_verification_failures_total: single((from) => events(from, "locator-unreachable")),
  hipd_credit_bytes_total: counted("hipd_credit_bytes_total"),
  hipd_probes_sent_total: counted("hipd_probes_sent_total"),
  hipd_probes_refused_total: counted("hipd_probes_refused_total"),
  hipd_probes_answered_total: counted("hipd_probes_answered_total"),
  hipd_probe_replies_total: counted("hipd_probe_replies_total"),
  hipd_metadata_requests_total: single((from) => from.metadata["metadata_requests_total"] ?? 0),
  hipd_metadata_failures_total: single((from) => from.metadata["metadata_failures_total"] ?? 0),
  hipd_metadata_changes_total: single((from) => from.metadata["metadata_changes_total"] ?? 0),

  hipd_dns_queries_total: (from) => named([], "result", from.names["queries"] ?? {}),
  hipd_dns_drops_total: (from) => named([], "reason", from.names["drops"] ?? {}),
  hipd_dns_truncated_total: single((from) => from.names["answers"]?.["truncated"] ?? 0),
  hipd_dns_lookups_total: ({ names: { peers = {} } }) => [
    [{ result: "found" }, (peers["lookups"] ?? 0) - (peers["failures"] ?? 0)],
    [{ result: "failed" }, peers["failures"] ?? 0],
    [{ result: "expired" }, peers["expired"] ?? 0],
  ],
  hipd_dns_client_total: (from) => named([], "result", from.names["client"] ?? {}),
  hipd_dns_bad_records_total: single((from) => from.names["peers"]?.["badRecords"] ?? 0),

  hipd_events_total: (from) => named(EVENT_NAMES, "name", from.driver.overlay.events),
  hipd_drops_total: ({ driver: { overlay, driver, plane } }) => [
    ...named(Object.keys(HIP_DROPS), "reason", overlay.drops, { layer: "hip" }),
    ...named(Object.keys(DRIVER_DROPS), "reason", matching(driver, DROP), { layer: "driver" }),
    ...named(Object.keys(DATA_DROPS), "reason", matching(plane, DROP), { layer: "data" }),
  ],
  hipd_overflows_total: ({ driver: { overlay, driver, plane }, jobs }) =>
    named([], "table", {
      ...overlay.overflows,
      ...matching(driver, OVERFLOW),
      ...full(overlay.drops, FULL.hip),
      ...full(matching(plane, DROP), FULL.data),
      jobs: jobs["jobs_refused_total"] ?? 0,
    }),
  hipd_state_write_failures_total: single((from) => from.stateWriteFailures),

  hipd_esp_packets_total: counted("hipd_esp_packets_total"),
  hipd_esp_bytes_total: counted("hipd_esp_bytes_total"),
  hipd_packets_total: counted("hipd_packets_total"),
  hipd_control_packets_total: counted("hipd_control_packets_total"),
  hipd_socket_calls_total: counted("hipd_socket_calls_total"),
  hipd_udp_messages_total: counted("hipd_udp_messages_total"),
  hipd_udp_messages_divided_total: counted("hipd_udp_messages_divided_total"),
  hipd_tun_calls_total: counted("hipd_tun_calls_total"),
  hipd_tun_super_packets_total: counted("hipd_tun_super_packets_total"),
  hipd_tun_segments_joined_total: counted("hipd_tun_segments_joined_total"),
  hipd_ecn_marked_total: counted("hipd_ecn_marked_total"),
  hipd_peer_sockets_total: counted("hipd_peer_sockets_total"),
  hipd_processors_left_total: counted("hipd_processors_left_total"),
  hipd_lingered_total: counted("hipd_lingered_total"),
  hipd_flow_log_missed_total: counted("hipd_flow_log_missed_total"),
  hipd_sas_refused_total: counted("hipd_sas_refused_total"),

  hipd_plane_peers: counted("hipd_plane_peers"),
  hipd_inbound_spis: counted("hipd_inbound_spis"),
  hipd_held_bytes: counted("hipd_held_bytes"),
  hipd_offload_enabled: counted("hipd_offload_enabled"),
  hipd_queue_depth: counted("hipd_queue_depth"),
  hipd_jobs_in_flight: counted("hipd_jobs_in_flight"),
  hipd_jobs_total: counted("hipd_jobs_total"),
  hipd_jobs_short_total: counted("hipd_jobs_short_total"),
  hipd_jobs_refused_total: counted("hipd_jobs_refused_total"),
  hipd_job_threads: counted("hipd_job_threads"),
  hipd_job_threads_crashed_total: counted("hipd_job_threads_crashed_total"),
  hipd_loop_turns_total: counted("hipd_loop_turns_total"),
  hipd_event_subscribers: counted("hipd_event_subscribers"),
};

/** prom-client has no histogram that takes ready-made buckets; this has the one method that its registry calls. */
function histogram(name: string, help: string, read: () => Histogram): Metric {
  const get = () => {
    const { bounds, counts, sum, count } = read();
    let below = 0;
    const values = bounds.map((bound, i) => {
      below += counts[i] ?? 0;
      return { labels: { le: bound }, value: below, metricName: `${name}_bucket` };
    });
    return {
      name,
      help,
      type: "histogram",
      aggregator: "sum",
      values: [
        ...values,
        { labels: { le: "+Inf" }, value: count, metricName: `${name}_bucket` },
        { labels: {}, value: sum, metricName: `${name}_sum` },
        { labels: {}, value: count, metricName: `${name}_count` },
      ],
    };
  };
  return { name, get: async () => get(), reset: () => {} } as unknown as Metric;
}
