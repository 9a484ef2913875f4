/** One host. */
import type { Dashboard, Panel } from "./panels.ts";
import { curves, JOB, rateOf, series, stat, table } from "./parts.ts";

const LABELS = 'job=~"$job", instance="$instance"';
const HOST = `{${LABELS}}`;

/** `matchers` are more of them, behind those of the host. */
function rate(metric: string, matchers = ""): string {
  return rateOf(metric, `${LABELS}${matchers}`);
}

/** The times of a histogram. */
function times(title: string, metric: string): Panel {
  const expr = `sum by (le) (increase(${metric}_bucket${HOST}[$__rate_interval]))`;
  return { title, kind: "heatmap", queries: [{ expr, legend: "{{le}}" }] };
}

/** Where each peer is in a state, over time. */
function states(title: string, metric: string, warn: readonly [number, number]): Panel {
  return { title, kind: "state-timeline", queries: [{ expr: `${metric}${HOST}`, legend: "{{peer}}" }], warn };
}

/** So narrow that all of them stand in one row. */
function narrow(title: string, expr: string, more: Partial<Panel> = {}): Panel {
  return stat(title, expr, { width: 3, ...more });
}

export const HOST_DASHBOARD: Dashboard = {
  uid: "hipd-host",
  title: "hipd: one host",
  description:
    "One host that runs hipd: its peers and paths, traffic, exchanges, handovers, drops, queues, the daemon itself.",
  variables: [
    JOB,
    {
      name: "instance",
      label: "Host",
      query: 'label_values(hipd_build_info{job=~"$job"}, instance)',
      many: false,
    },
  ],
  rows: [
    {
      title: "$instance",
      panels: [
        narrow("Up for", `time() - process_start_time_seconds${HOST}`, { unit: "s" }),
        narrow("Version", `hipd_build_info${HOST}`, {
          queries: [{ expr: `hipd_build_info${HOST}`, legend: "{{version}}" }],
        }),
        narrow("Peers", `hipd_peers${HOST}`),
        narrow("Peers up", `hipd_peers_up${HOST}`),
        narrow("Peers unreachable", `hipd_peers_unreachable${HOST}`, { warn: [1, 5] }),
        narrow("Puzzle difficulty", `hipd_puzzle_difficulty${HOST}`, { warn: [8, 16] }),
        narrow("Main thread late", `nodejs_eventloop_lag_p99_seconds${HOST}`, {
          unit: "s",
          warn: [0.1, 0.5],
        }),
        narrow("Memory", `process_resident_memory_bytes${HOST}`, { unit: "bytes" }),
      ],
    },
    {
      title: "Peers",
      panels: [
        states("Up", "hipd_peer_up", [0.5, 2]),
        states("Unreachable", "hipd_peer_unreachable", [0.5, 1]),
        series(
          "Sent to",
          "bps",
          `8 * topk(10, ${rate("hipd_peer_esp_bytes_total", ', direction="tx"')})`,
          "{{peer}}",
        ),
        series(
          "Received from",
          "bps",
          `8 * topk(10, ${rate("hipd_peer_esp_bytes_total", ', direction="rx"')})`,
          "{{peer}}",
        ),
        series("Round trip", "s", `hipd_peer_rtt_seconds${HOST}`, "{{peer}}"),
        series("Loss", "percentunit", `hipd_peer_loss_ratio${HOST}`, "{{peer}}", { warn: [0.02, 0.1] }),
        series("Path MTU", "bytes", `hipd_peer_path_mtu_bytes${HOST}`, "{{peer}}"),
        series("Associations by state", "short", `hipd_associations${HOST}`, "{{state}}", { stacked: true }),
      ],
    },
    {
      title: "Traffic",
      panels: [
        series("ESP", "bps", `8 * ${rate("hipd_esp_bytes_total")}`, "{{direction}}"),
        series("Packets", "pps", rate("hipd_esp_packets_total"), "{{direction}}"),
        series(
          "Packets by system call",
          "short",
          `${rate("hipd_esp_packets_total")} / on (direction) ${rate("hipd_socket_calls_total")}`,
          "{{direction}}",
          { description: "How well batches and offloads work." },
        ),
        series("HIP packets", "pps", rate("hipd_control_packets_total"), "{{direction}}"),
        series("Neither delivered nor lost", "pps", rate("hipd_packets_total"), "{{fate}}"),
        curves("Marked (ECN), on credit, probes", "short", {
          "packets marked": rate("hipd_ecn_marked_total"),
          "bytes on credit": rate("hipd_credit_bytes_total"),
          "probes sent": rate("hipd_probes_sent_total"),
          "probes that came back": rate("hipd_probe_replies_total"),
        }),
      ],
    },
    {
      title: "Exchanges and mobility",
      panels: [
        series("Base exchanges", "ops", rate("hipd_exchanges_total"), "{{role}} {{result}}"),
        times("Time of base exchanges", "hipd_exchange_seconds"),
        series("Handovers", "ops", `${rate("hipd_handovers_total")} > 0`, "{{reason}} {{result}}"),
        times("Time of handovers", "hipd_handover_seconds"),
        series("Locators", "short", `hipd_locators${HOST}`, "{{side}} {{state}}"),
        series("New keys", "ops", rate("hipd_rekeys_total"), "{{result}}"),
        series("Events", "ops", `topk(10, ${rate("hipd_events_total")} > 0)`, "{{name}}"),
        curves("Cloud metadata", "ops", {
          requests: rate("hipd_metadata_requests_total"),
          failures: rate("hipd_metadata_failures_total"),
        }),
      ],
    },
    {
      title: "What is lost",
      panels: [
        series("Drops", "pps", `${rate("hipd_drops_total")} > 0`, "{{layer}} {{reason}}", {
          description: "hipctl drops on the host says what each means, and what to do.",
        }),
        table("Drops in an hour", `topk(20, increase(hipd_drops_total${HOST}[1h]) > 0)`),
        series(
          "Full tables and queues",
          "short",
          `increase(hipd_overflows_total${HOST}[10m]) > 0`,
          "{{table}}",
        ),
        series("Queues", "short", `hipd_queue_depth${HOST}`, "{{queue}}"),
        series("Held for base exchanges", "bytes", `hipd_held_bytes${HOST}`, "held"),
        curves("Crypto jobs", "ops", {
          done: rate("hipd_jobs_total"),
          refused: rate("hipd_jobs_refused_total"),
        }),
      ],
    },
    {
      title: "The daemon",
      panels: [
        curves("Memory", "bytes", {
          whole: `process_resident_memory_bytes${HOST}`,
          JavaScript: `nodejs_heap_size_used_bytes${HOST}`,
          "outside of its heap": `nodejs_external_memory_bytes${HOST}`,
        }),
        curves("Processors", "percentunit", {
          user: rate("process_cpu_user_seconds_total"),
          system: rate("process_cpu_system_seconds_total"),
        }),
        curves("Main thread late", "s", {
          half: `nodejs_eventloop_lag_p50_seconds${HOST}`,
          "99 of 100": `nodejs_eventloop_lag_p99_seconds${HOST}`,
        }),
        curves("Tables", "short", {
          LSIs: `hipd_lsis${HOST}`,
          "inbound SPIs": `hipd_inbound_spis${HOST}`,
          R1s: `hipd_r1_generations${HOST}`,
          descriptors: `process_open_fds${HOST}`,
        }),
      ],
    },
  ],
};
