/** All hosts at one look. */
import type { Dashboard, Panel } from "./panels.ts";

const ALL = '{job=~"$job"}';

function stat(title: string, expr: string, more: Partial<Panel> = {}): Panel {
  return { title, kind: "stat", queries: [{ expr, legend: "" }], ...more };
}

/** `matchers` are more of them, behind those of the job. */
function by(labels: string, metric: string, matchers = ""): string {
  return `sum by (${labels}) (rate(${metric}{job=~"$job"${matchers}}[$__rate_interval]))`;
}

function quantile(q: number, metric: string): string {
  return `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket${ALL}[$__rate_interval])))`;
}

export const FLEET: Dashboard = {
  uid: "hipd-fleet",
  title: "hipd: fleet",
  description: "All hosts that run hipd: who is up, who reaches whom, traffic, handovers, what is lost.",
  variables: [{ name: "job", label: "Job", query: "label_values(hipd_build_info, job)", many: true }],
  rows: [
    {
      title: "Fleet",
      panels: [
        stat("Hosts up", `sum(up${ALL})`),
        stat("Hosts down", `count(up${ALL} == 0) or vector(0)`, { warn: [1, 2] }),
        stat("Peers up", `sum(hipd_peers_up${ALL})`, { description: "Associations, counted on each side." }),
        stat("Peers unreachable", `sum(hipd_peers_unreachable${ALL})`, { warn: [1, 5] }),
        stat("Clones found, 24 h", `sum(increase(hipd_clones_detected_total${ALL}[24h]))`, {
          warn: [0.5, 0.5],
          unit: "none",
        }),
        stat(
          "Handovers failed, 24 h",
          `sum(increase(hipd_handovers_total{job=~"$job", result="failed"}[24h]))`,
          { warn: [1, 5] },
        ),
        {
          title: "Versions",
          kind: "table",
          width: 12,
          queries: [{ expr: `count by (version, node) (hipd_build_info${ALL})`, legend: "" }],
        },
        {
          title: "Peers that are not reached",
          kind: "table",
          width: 12,
          queries: [{ expr: `hipd_peer_unreachable${ALL} == 1`, legend: "" }],
        },
      ],
    },
    {
      title: "Traffic",
      panels: [
        {
          title: "Sent by host",
          kind: "timeseries",
          unit: "bps",
          queries: [
            {
              expr: `8 * ${by("instance", "hipd_esp_bytes_total", ', direction="tx"')}`,
              legend: "{{instance}}",
            },
          ],
        },
        {
          title: "Received by host",
          kind: "timeseries",
          unit: "bps",
          queries: [
            {
              expr: `8 * ${by("instance", "hipd_esp_bytes_total", ', direction="rx"')}`,
              legend: "{{instance}}",
            },
          ],
        },
        {
          title: "Packets",
          kind: "timeseries",
          unit: "pps",
          queries: [{ expr: by("direction", "hipd_esp_packets_total"), legend: "{{direction}}" }],
        },
        {
          title: "Longest round trips",
          kind: "timeseries",
          unit: "s",
          queries: [{ expr: `topk(10, hipd_peer_rtt_seconds${ALL})`, legend: "{{instance}} to {{peer}}" }],
        },
        {
          title: "Most loss",
          kind: "timeseries",
          unit: "percentunit",
          warn: [0.02, 0.1],
          queries: [{ expr: `topk(10, hipd_peer_loss_ratio${ALL} > 0)`, legend: "{{instance}} to {{peer}}" }],
        },
        {
          title: "Smallest path MTUs",
          kind: "timeseries",
          unit: "bytes",
          queries: [
            { expr: `bottomk(10, hipd_peer_path_mtu_bytes${ALL})`, legend: "{{instance}} to {{peer}}" },
          ],
        },
      ],
    },
    {
      title: "Associations",
      panels: [
        {
          title: "Associations by state",
          kind: "timeseries",
          stacked: true,
          queries: [{ expr: `sum by (state) (hipd_associations${ALL})`, legend: "{{state}}" }],
        },
        {
          title: "Base exchanges",
          kind: "timeseries",
          unit: "ops",
          queries: [{ expr: by("role, result", "hipd_exchanges_total"), legend: "{{role}} {{result}}" }],
        },
        {
          title: "Time of base exchanges",
          kind: "timeseries",
          unit: "s",
          queries: [
            { expr: quantile(0.5, "hipd_exchange_seconds"), legend: "half" },
            { expr: quantile(0.95, "hipd_exchange_seconds"), legend: "95 of 100" },
          ],
        },
        {
          title: "New keys",
          kind: "timeseries",
          unit: "ops",
          queries: [{ expr: by("result", "hipd_rekeys_total"), legend: "{{result}}" }],
        },
      ],
    },
    {
      title: "Mobility",
      panels: [
        {
          title: "Handovers",
          kind: "timeseries",
          unit: "ops",
          queries: [{ expr: by("reason, result", "hipd_handovers_total"), legend: "{{reason}} {{result}}" }],
        },
        {
          title: "Time of handovers",
          kind: "timeseries",
          unit: "s",
          queries: [
            { expr: quantile(0.5, "hipd_handover_seconds"), legend: "half" },
            { expr: quantile(0.95, "hipd_handover_seconds"), legend: "95 of 100" },
          ],
        },
        {
          title: "Locators",
          kind: "timeseries",
          queries: [{ expr: `sum by (side, state) (hipd_locators${ALL})`, legend: "{{side}} {{state}}" }],
        },
        {
          title: "Addresses that did not answer",
          kind: "timeseries",
          unit: "ops",
          queries: [{ expr: by("instance", "hipd_verification_failures_total"), legend: "{{instance}}" }],
        },
      ],
    },
    {
      title: "What is lost",
      panels: [
        {
          title: "Drops by reason",
          kind: "timeseries",
          unit: "pps",
          description: "hipctl drops says what each means, and what to do.",
          queries: [
            {
              expr: `topk(10, ${by("layer, reason", "hipd_drops_total")} > 0)`,
              legend: "{{layer}} {{reason}}",
            },
          ],
        },
        {
          title: "Drops by host",
          kind: "timeseries",
          unit: "pps",
          queries: [{ expr: by("instance", "hipd_drops_total"), legend: "{{instance}}" }],
        },
        {
          title: "Full tables and queues",
          kind: "timeseries",
          queries: [
            {
              expr: `sum by (instance, table) (increase(hipd_overflows_total${ALL}[10m])) > 0`,
              legend: "{{instance}} {{table}}",
            },
          ],
        },
        {
          title: "State not written",
          kind: "timeseries",
          queries: [{ expr: `increase(hipd_state_write_failures_total${ALL}[15m])`, legend: "{{instance}}" }],
        },
      ],
    },
    {
      title: "Daemons",
      panels: [
        {
          title: "Memory",
          kind: "timeseries",
          unit: "bytes",
          queries: [{ expr: `process_resident_memory_bytes${ALL}`, legend: "{{instance}}" }],
        },
        {
          title: "Processors",
          kind: "timeseries",
          unit: "percentunit",
          queries: [
            { expr: `rate(process_cpu_seconds_total${ALL}[$__rate_interval])`, legend: "{{instance}}" },
          ],
        },
        {
          title: "Main thread late, 99 of 100",
          kind: "timeseries",
          unit: "s",
          warn: [0.1, 0.5],
          queries: [{ expr: `nodejs_eventloop_lag_p99_seconds${ALL}`, legend: "{{instance}}" }],
        },
        {
          title: "Starts in an hour",
          kind: "timeseries",
          warn: [2, 4],
          queries: [{ expr: `changes(process_start_time_seconds${ALL}[1h])`, legend: "{{instance}}" }],
        },
      ],
    },
  ],
};
