/** One host. */
import type { Dashboard, Panel } from "./panels.ts";

const HOST = '{job=~"$job", instance="$instance"}';

function stat(title: string, expr: string, more: Partial<Panel> = {}): Panel {
  return { title, kind: "stat", width: 3, queries: [{ expr, legend: "" }], ...more };
}

function series(title: string, unit: string, expr: string, legend: string, more: Partial<Panel> = {}): Panel {
  return { title, kind: "timeseries", unit, queries: [{ expr, legend }], ...more };
}

/** `matchers` are more of them, behind those of the host. */
function rate(metric: string, matchers = ""): string {
  return `rate(${metric}{job=~"$job", instance="$instance"${matchers}}[$__rate_interval])`;
}

export const HOST_DASHBOARD: Dashboard = {
  uid: "hipd-host",
  title: "hipd: one host",
  description:
    "One host that runs hipd: its peers and paths, traffic, exchanges, handovers, drops, queues, the daemon itself.",
  variables: [
    { name: "job", label: "Job", query: "label_values(hipd_build_info, job)", many: true },
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
        stat("Up for", `time() - process_start_time_seconds${HOST}`, { unit: "s" }),
        {
          ...stat("Version", `hipd_build_info${HOST}`),
          queries: [{ expr: `hipd_build_info${HOST}`, legend: "{{version}}" }],
        },
        stat("Peers", `hipd_peers${HOST}`),
        stat("Peers up", `hipd_peers_up${HOST}`),
        stat("Peers unreachable", `hipd_peers_unreachable${HOST}`, { warn: [1, 5] }),
        stat("Puzzle difficulty", `hipd_puzzle_difficulty${HOST}`, { warn: [8, 16] }),
        stat("Main thread late", `nodejs_eventloop_lag_p99_seconds${HOST}`, { unit: "s", warn: [0.1, 0.5] }),
        stat("Memory", `process_resident_memory_bytes${HOST}`, { unit: "bytes" }),
      ],
    },
    {
      title: "Peers",
      panels: [
        {
          title: "Up",
          kind: "state-timeline",
          queries: [{ expr: `hipd_peer_up${HOST}`, legend: "{{peer}}" }],
          warn: [0.5, 2],
        },
        {
          title: "Unreachable",
          kind: "state-timeline",
          queries: [{ expr: `hipd_peer_unreachable${HOST}`, legend: "{{peer}}" }],
          warn: [0.5, 1],
        },
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
        series("Marked (ECN), on credit, probes", "short", rate("hipd_ecn_marked_total"), "marked", {
          queries: [
            { expr: rate("hipd_ecn_marked_total"), legend: "packets marked" },
            { expr: rate("hipd_credit_bytes_total"), legend: "bytes on credit" },
            { expr: rate("hipd_probes_sent_total"), legend: "probes sent" },
            { expr: rate("hipd_probe_replies_total"), legend: "probes that came back" },
          ],
        }),
      ],
    },
    {
      title: "Exchanges and mobility",
      panels: [
        series("Base exchanges", "ops", rate("hipd_exchanges_total"), "{{role}} {{result}}"),
        {
          title: "Time of base exchanges",
          kind: "heatmap",
          queries: [
            {
              expr: `sum by (le) (increase(hipd_exchange_seconds_bucket${HOST}[$__rate_interval]))`,
              legend: "{{le}}",
            },
          ],
        },
        series("Handovers", "ops", `${rate("hipd_handovers_total")} > 0`, "{{reason}} {{result}}"),
        {
          title: "Time of handovers",
          kind: "heatmap",
          queries: [
            {
              expr: `sum by (le) (increase(hipd_handover_seconds_bucket${HOST}[$__rate_interval]))`,
              legend: "{{le}}",
            },
          ],
        },
        series("Locators", "short", `hipd_locators${HOST}`, "{{side}} {{state}}"),
        series("New keys", "ops", rate("hipd_rekeys_total"), "{{result}}"),
        series("Events", "ops", `topk(10, ${rate("hipd_events_total")} > 0)`, "{{name}}"),
        series("Cloud metadata", "ops", rate("hipd_metadata_requests_total"), "requests", {
          queries: [
            { expr: rate("hipd_metadata_requests_total"), legend: "requests" },
            { expr: rate("hipd_metadata_failures_total"), legend: "failures" },
          ],
        }),
      ],
    },
    {
      title: "What is lost",
      panels: [
        series("Drops", "pps", `${rate("hipd_drops_total")} > 0`, "{{layer}} {{reason}}", {
          description: "hipctl drops on the host says what each means, and what to do.",
        }),
        {
          title: "Drops in an hour",
          kind: "table",
          queries: [{ expr: `topk(20, increase(hipd_drops_total${HOST}[1h]) > 0)`, legend: "" }],
        },
        series(
          "Full tables and queues",
          "short",
          `increase(hipd_overflows_total${HOST}[10m]) > 0`,
          "{{table}}",
        ),
        series("Queues", "short", `hipd_queue_depth${HOST}`, "{{queue}}"),
        series("Held for base exchanges", "bytes", `hipd_held_bytes${HOST}`, "held"),
        series("Crypto jobs", "ops", rate("hipd_jobs_total"), "done", {
          queries: [
            { expr: rate("hipd_jobs_total"), legend: "done" },
            { expr: rate("hipd_jobs_refused_total"), legend: "refused" },
          ],
        }),
      ],
    },
    {
      title: "The daemon",
      panels: [
        series("Memory", "bytes", `process_resident_memory_bytes${HOST}`, "whole", {
          queries: [
            { expr: `process_resident_memory_bytes${HOST}`, legend: "whole" },
            { expr: `nodejs_heap_size_used_bytes${HOST}`, legend: "JavaScript" },
            { expr: `nodejs_external_memory_bytes${HOST}`, legend: "outside of its heap" },
          ],
        }),
        series("Processors", "percentunit", rate("process_cpu_user_seconds_total"), "user", {
          queries: [
            { expr: rate("process_cpu_user_seconds_total"), legend: "user" },
            { expr: rate("process_cpu_system_seconds_total"), legend: "system" },
          ],
        }),
        series("Main thread late", "s", `nodejs_eventloop_lag_p99_seconds${HOST}`, "99 of 100", {
          queries: [
            { expr: `nodejs_eventloop_lag_p50_seconds${HOST}`, legend: "half" },
            { expr: `nodejs_eventloop_lag_p99_seconds${HOST}`, legend: "99 of 100" },
          ],
        }),
        series("Tables", "short", `hipd_lsis${HOST}`, "LSIs", {
          queries: [
            { expr: `hipd_lsis${HOST}`, legend: "LSIs" },
            { expr: `hipd_inbound_spis${HOST}`, legend: "inbound SPIs" },
            { expr: `hipd_r1_generations${HOST}`, legend: "R1s" },
            { expr: `process_open_fds${HOST}`, legend: "descriptors" },
          ],
        }),
      ],
    },
  ],
};
