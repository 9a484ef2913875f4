/** The daemon's numbers as Prometheus metrics. Everything is read from the driver at the moment of the scrape. */
import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from "prom-client";
import type { DriverMetrics } from "../driver/driver.ts";
import type { Histogram, Metrics } from "../overlay/metrics.ts";
import type { MetricsPage } from "./metrics-server.ts";

export interface MetricsInput {
  readonly driver: DriverMetrics;
  readonly jobs: Readonly<Record<string, number>>;
  /** Of the cloud's metadata service. */
  readonly metadata: Readonly<Record<string, number>>;
  readonly version: string;
  readonly stateWriteFailures: number;
}

type Labels = Record<string, string>;
type Sample = readonly [labels: Labels, value: number];
type Define = (
  kind: "counter" | "gauge",
  name: string,
  help: string,
  labelNames: readonly string[],
  samples: (input: MetricsInput) => readonly Sample[],
) => void;

export function createMetricsPage(read: () => MetricsInput): MetricsPage {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  /** One snapshot serves all metrics of a scrape. */
  let input = read();
  const define: Define = (kind, name, help, labelNames, samples) => {
    const options = { name, help, labelNames: [...labelNames], registers: [registry] };
    if (kind === "gauge") {
      const gauge: Gauge = new Gauge({
        ...options,
        collect: () => {
          gauge.reset();
          for (const [labels, value] of samples(input)) gauge.set(labels, value);
        },
      });
    } else {
      const counter: Counter = new Counter({
        ...options,
        collect: () => {
          counter.reset();
          for (const [labels, value] of samples(input)) counter.inc(labels, value);
        },
      });
    }
  };
  const single = (
    kind: "counter" | "gauge",
    name: string,
    help: string,
    value: (input: MetricsInput) => number,
  ): void => define(kind, name, help, [], (from) => [[{}, value(from)]]);

  define("gauge", "hipd_info", "Always 1; the version is a label.", ["version"], (from) => [
    [{ version: from.version }, 1],
  ]);
  define("gauge", "hipd_associations", "HIP associations by state (RFC 7401 4.4.2).", ["state"], (from) =>
    byName(from.driver.overlay.associationsByState, "state"),
  );
  define(
    "counter",
    "hipd_exchanges_total",
    "Base exchanges by role and result.",
    ["role", "result"],
    (from) => {
      const { exchangesCompleted, exchangesFailed } = from.driver.overlay;
      return (["initiator", "responder"] as const).flatMap((role): Sample[] => [
        [{ role, result: "completed" }, exchangesCompleted[role]],
        [{ role, result: "failed" }, exchangesFailed[role]],
      ]);
    },
  );
  registry.registerMetric(
    histogram(
      "hipd_exchange_seconds",
      "Time that base exchanges took.",
      () => input.driver.overlay.exchangeSeconds,
    ),
  );
  defineMobility(define, () => input.driver.overlay, registry);
  define(
    "counter",
    "hipd_metadata_total",
    "Questions to the cloud's metadata service, failures and changes, by name.",
    ["name"],
    (from) =>
      others(from.metadata, true).map(([{ name = "" }, n]) => [{ name: name.replace(/^metadata_/, "") }, n]),
  );
  define("counter", "hipd_events_total", "Events by name.", ["name"], (from) =>
    byName(from.driver.overlay.events, "name"),
  );
  define(
    "counter",
    "hipd_drops_total",
    "Discarded packets by layer and reason.",
    ["layer", "reason"],
    (from) => [
      ...Object.entries(from.driver.overlay.drops).map(
        ([reason, value]): Sample => [{ layer: "hip", reason }, value],
      ),
      ...drops(from.driver.driver, "driver"),
      ...drops(from.driver.plane, "data"),
    ],
  );
  for (const unit of ["packets", "bytes"] as const) {
    define("counter", `hipd_esp_${unit}_total`, `ESP ${unit} by direction.`, ["direction"], (from) => [
      [{ direction: "tx" }, from.driver.plane[`esp_tx_${unit}_total`] ?? 0],
      [{ direction: "rx" }, from.driver.plane[`esp_rx_${unit}_total`] ?? 0],
    ]);
  }
  define("counter", "hipd_data_total", "Other counters of the data plane by name.", ["name"], (from) =>
    others(from.driver.plane, true),
  );
  define(
    "gauge",
    "hipd_data",
    "Gauges of the data plane by name: queue depths, table sizes.",
    ["name"],
    (from) => others(from.driver.plane, false),
  );
  define(
    "counter",
    "hipd_overflows_total",
    "Entries refused because a bounded table was full.",
    ["table"],
    (from) => byName(from.driver.overlay.overflows, "table"),
  );
  single(
    "gauge",
    "hipd_puzzle_difficulty",
    "Difficulty K of the puzzle that we set (RFC 7401 5.2.4).",
    (from) => from.driver.overlay.puzzleDifficulty,
  );
  single("gauge", "hipd_peers", "Configured peers.", (from) => from.driver.overlay.peers);
  single("gauge", "hipd_lsis", "LSIs given out.", (from) => from.driver.overlay.lsiEntries);
  single(
    "gauge",
    "hipd_r1_generations",
    "R1 packets held ready.",
    (from) => from.driver.overlay.r1Generations,
  );
  define("gauge", "hipd_queue_depth", "Things that wait, by queue.", ["queue"], (from) => [
    [{ queue: "jobs" }, from.jobs["job_queue_depth"] ?? 0],
    [{ queue: "requests" }, from.driver.overlay.requestsWaiting],
  ]);
  single(
    "gauge",
    "hipd_jobs_in_flight",
    "Crypto jobs given to threads and not answered.",
    (from) => from.driver.overlay.jobsInFlight,
  );
  single("counter", "hipd_jobs_total", "Crypto jobs done.", (from) => from.jobs["jobs_run_total"] ?? 0);
  single(
    "counter",
    "hipd_jobs_refused_total",
    "Crypto jobs refused: queue full, or their thread died.",
    (from) => from.jobs["jobs_refused_total"] ?? 0,
  );
  single(
    "counter",
    "hipd_job_threads_crashed_total",
    "Crypto threads that died.",
    (from) => from.jobs["job_threads_crashed_total"] ?? 0,
  );
  single(
    "counter",
    "hipd_state_write_failures_total",
    "Failed writes of the state file.",
    (from) => from.stateWriteFailures,
  );

  return {
    contentType: registry.contentType,
    render: () => {
      input = read();
      return registry.metrics();
    },
  };
}

/** What RFC 8046 is about: handovers, locators, and addresses that did not answer. */
function defineMobility(define: Define, overlay: () => Metrics, registry: Registry): void {
  define("counter", "hipd_handovers_total", "Handovers by reason and outcome.", ["reason", "outcome"], () =>
    Object.entries(overlay().handovers).map(([words, value]): Sample => {
      const [reason = "", outcome = ""] = words.split(" ");
      return [{ reason, outcome }, value];
    }),
  );
  registry.registerMetric(
    histogram(
      "hipd_handover_seconds",
      "Time from noticing a change to traffic along another path.",
      () => overlay().handoverSeconds,
    ),
  );
  define(
    "gauge",
    "hipd_locators",
    "Locators: our own by source, the peers' by state (RFC 8046 5.1).",
    ["side", "state"],
    () =>
      Object.entries(overlay().locators).map(([words, value]): Sample => {
        const [side = "", state = ""] = words.split(" ");
        return [{ side, state }, value];
      }),
  );
  define(
    "counter",
    "hipd_verification_failures_total",
    "Addresses of peers that did not answer when they were verified.",
    [],
    () => [[{}, overlay().events["locator-unreachable"] ?? 0]],
  );
  define(
    "counter",
    "hipd_credit_bytes_total",
    "Bytes sent to addresses that had not answered yet, on credit (RFC 8046 5.6).",
    [],
    (from) => [[{}, from.driver.plane[CREDIT] ?? 0]],
  );
}

function byName(values: Readonly<Record<string, number>>, label: string): readonly Sample[] {
  return Object.entries(values).map(([name, value]) => [{ [label]: name }, value]);
}

const DROP = /^drop_(.+)_total$/;
const CREDIT = "credit_spent_bytes_total";
const ESP = /^esp_[tr]x_(packets|bytes)_total$/;

function drops(values: Readonly<Record<string, number>>, layer: string): readonly Sample[] {
  return Object.entries(values).flatMap(([name, value]): Sample[] => {
    const reason = DROP.exec(name)?.[1];
    return reason === undefined ? [] : [[{ layer, reason }, value]];
  });
}

function others(values: Readonly<Record<string, number>>, counters: boolean): readonly Sample[] {
  return Object.entries(values)
    .filter(
      ([name]) =>
        !DROP.test(name) && !ESP.test(name) && name !== CREDIT && name.endsWith("_total") === counters,
    )
    .map(([name, value]) => [{ name: name.replace(/_total$/, "") }, value]);
}

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
