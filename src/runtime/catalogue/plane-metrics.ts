/**
 * What the data plane, the driver and their helpers count, and the metric that each count becomes. A test compares the
 * rows with native/stats.cc, native/plane.cc and what the others give.
 */
import { FATES } from "./data-drops.ts";
import type { MetricName } from "./metrics.ts";

export interface Counted {
  readonly metric: MetricName;
  readonly labels: Readonly<Record<string, string>>;
}

function as(metric: MetricName, labels: Readonly<Record<string, string>> = {}): Counted {
  return { metric, labels };
}

const TX = { direction: "tx" };
const RX = { direction: "rx" };

/** By name in `DataPlane.counters()`. Drops are not here: they are `hipd_drops_total`. */
export const PLANE_COUNTERS: Readonly<Record<string, Counted>> = {
  esp_tx_packets_total: as("hipd_esp_packets_total", TX),
  esp_tx_bytes_total: as("hipd_esp_bytes_total", TX),
  esp_rx_packets_total: as("hipd_esp_packets_total", RX),
  esp_rx_bytes_total: as("hipd_esp_bytes_total", RX),
  control_sent_total: as("hipd_control_packets_total", TX),
  control_received_total: as("hipd_control_packets_total", RX),
  send_calls_total: as("hipd_socket_calls_total", TX),
  receive_calls_total: as("hipd_socket_calls_total", RX),
  tun_reads_total: as("hipd_tun_calls_total", TX),
  tun_writes_total: as("hipd_tun_calls_total", RX),
  tun_super_reads_total: as("hipd_tun_super_packets_total", TX),
  tun_super_writes_total: as("hipd_tun_super_packets_total", RX),
  tun_segments_joined_total: as("hipd_tun_segments_joined_total"),
  messages_sent_total: as("hipd_udp_messages_total", TX),
  messages_divided_total: as("hipd_udp_messages_divided_total"),
  messages_received_total: as("hipd_udp_messages_total", RX),
  marked_late_total: as("hipd_ecn_marked_total"),
  credit_spent_bytes_total: as("hipd_credit_bytes_total"),
  probes_sent_total: as("hipd_probes_sent_total"),
  probes_refused_total: as("hipd_probes_refused_total"),
  probes_answered_total: as("hipd_probes_answered_total"),
  probe_replies_total: as("hipd_probe_replies_total"),
  peer_sockets_total: as("hipd_peer_sockets_total"),
  processors_left_total: as("hipd_processors_left_total"),
  lingered_total: as("hipd_lingered_total"),
  flows_missed_total: as("hipd_flow_log_missed_total"),
  sa_refused_total: as("hipd_sas_refused_total"),
  peers: as("hipd_plane_peers"),
  inbound_spis: as("hipd_inbound_spis"),
  held_bytes: as("hipd_held_bytes"),
  event_queue_depth: as("hipd_queue_depth", { queue: "events" }),
  offload_tso: as("hipd_offload_enabled", { offload: "tso" }),
  offload_uso: as("hipd_offload_enabled", { offload: "uso" }),
  offload_gso: as("hipd_offload_enabled", { offload: "gso" }),
  offload_gro: as("hipd_offload_enabled", { offload: "gro" }),
  ...Object.fromEntries(
    Object.keys(FATES).map((fate) => [`${fate}_total`, as("hipd_packets_total", { fate })]),
  ),
};

/** Drops that say that something was full: `hipd_overflows_total` has them, too, so that one expression watches all limits. */
export const FULL: Readonly<Record<"hip" | "data", Readonly<Record<string, string>>>> = {
  hip: {
    associations_full: "associations",
    jobs_full: "crypto_jobs",
    opportunistic_attempts_full: "opportunistic",
  },
  data: { hold_full: "held_packets", ring_full: "events" },
};

/** By name in `DriverMetrics.driver`, without drops and `overflow_<table>_total`. */
export const DRIVER_COUNTERS: Readonly<Record<string, Counted>> = {
  turns_total: as("hipd_loop_turns_total"),
  requests_waiting: as("hipd_queue_depth", { queue: "requests" }),
  event_subscribers: as("hipd_event_subscribers"),
  // The overlay's own count of the same jobs is shown.
  jobs_running: as("hipd_jobs_in_flight"),
};

/** By name in `ShortJobs.counters()`. */
export const JOB_COUNTERS: Readonly<Record<string, Counted>> = {
  jobs_run_total: as("hipd_jobs_total"),
  jobs_short_total: as("hipd_jobs_short_total"),
  jobs_refused_total: as("hipd_jobs_refused_total"),
  job_threads_crashed_total: as("hipd_job_threads_crashed_total"),
  job_queue_depth: as("hipd_queue_depth", { queue: "jobs" }),
  job_threads: as("hipd_job_threads"),
};
