/** All hosts at one look. */
import type { Dashboard, Panel } from "./panels.ts";
import { curves, JOB, rateOf, series, stat, table } from "./parts.ts";

const LABELS = 'job=~"$job"';
const ALL = `{${LABELS}}`;

/** `matchers` are more of them, behind those of the job. */
function by(labels: string, metric: string, matchers = ""): string {
  return `sum by (${labels}) (${rateOf(metric, `${LABELS}${matchers}`)})`;
}

/** The times of a histogram. */
function times(title: string, metric: string): Panel {
  const quantile = (q: number) => `histogram_quantile(${q}, ${by("le", `${metric}_bucket`)})`;
  return curves(title, "s", { half: quantile(0.5), "95 of 100": quantile(0.95) });
}

export const FLEET: Dashboard = {
  uid: "hipd-fleet",
  title: "hipd: fleet",
  description: "All hosts that run hipd: who is up, who reaches whom, traffic, handovers, what is lost.",
  variables: [JOB],
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
        table("Versions", `count by (version, node) (hipd_build_info${ALL})`, { width: 12 }),
        table("Peers that are not reached", `hipd_peer_unreachable${ALL} == 1`, { width: 12 }),
      ],
    },
    {
      title: "Traffic",
      panels: [
        series(
          "Sent by host",
          "bps",
          `8 * ${by("instance", "hipd_esp_bytes_total", ', direction="tx"')}`,
          "{{instance}}",
        ),
        series(
          "Received by host",
          "bps",
          `8 * ${by("instance", "hipd_esp_bytes_total", ', direction="rx"')}`,
          "{{instance}}",
        ),
        series("Packets", "pps", by("direction", "hipd_esp_packets_total"), "{{direction}}"),
        series(
          "Longest round trips",
          "s",
          `topk(10, hipd_peer_rtt_seconds${ALL})`,
          "{{instance}} to {{peer}}",
        ),
        series(
          "Most loss",
          "percentunit",
          `topk(10, hipd_peer_loss_ratio${ALL} > 0)`,
          "{{instance}} to {{peer}}",
          { warn: [0.02, 0.1] },
        ),
        series(
          "Smallest path MTUs",
          "bytes",
          `bottomk(10, hipd_peer_path_mtu_bytes${ALL})`,
          "{{instance}} to {{peer}}",
        ),
      ],
    },
    {
      title: "Associations",
      panels: [
        series("Associations by state", "short", `sum by (state) (hipd_associations${ALL})`, "{{state}}", {
          stacked: true,
        }),
        series("Base exchanges", "ops", by("role, result", "hipd_exchanges_total"), "{{role}} {{result}}"),
        times("Time of base exchanges", "hipd_exchange_seconds"),
        series("New keys", "ops", by("result", "hipd_rekeys_total"), "{{result}}"),
      ],
    },
    {
      title: "Mobility",
      panels: [
        series("Handovers", "ops", by("reason, result", "hipd_handovers_total"), "{{reason}} {{result}}"),
        times("Time of handovers", "hipd_handover_seconds"),
        series("Locators", "short", `sum by (side, state) (hipd_locators${ALL})`, "{{side}} {{state}}"),
        series(
          "Addresses that did not answer",
          "ops",
          by("instance", "hipd_verification_failures_total"),
          "{{instance}}",
        ),
      ],
    },
    {
      title: "What is lost",
      panels: [
        series(
          "Drops by reason",
          "pps",
          `topk(10, ${by("layer, reason", "hipd_drops_total")} > 0)`,
          "{{layer}} {{reason}}",
          { description: "hipctl drops says what each means, and what to do." },
        ),
        series("Drops by host", "pps", by("instance", "hipd_drops_total"), "{{instance}}"),
        series(
          "Full tables and queues",
          "short",
          `sum by (instance, table) (increase(hipd_overflows_total${ALL}[10m])) > 0`,
          "{{instance}} {{table}}",
        ),
        series(
          "State not written",
          "short",
          `increase(hipd_state_write_failures_total${ALL}[15m])`,
          "{{instance}}",
        ),
      ],
    },
    {
      title: "Daemons",
      panels: [
        series("Memory", "bytes", `process_resident_memory_bytes${ALL}`, "{{instance}}"),
        series(
          "Processors",
          "percentunit",
          `rate(process_cpu_seconds_total${ALL}[$__rate_interval])`,
          "{{instance}}",
        ),
        series("Main thread late, 99 of 100", "s", `nodejs_eventloop_lag_p99_seconds${ALL}`, "{{instance}}", {
          warn: [0.1, 0.5],
        }),
        series(
          "Starts in an hour",
          "short",
          `changes(process_start_time_seconds${ALL}[1h])`,
          "{{instance}}",
          { warn: [2, 4] },
        ),
      ],
    },
  ],
};
