/** The catalogue has every drop reason, event, log line and metric that the code has, and nothing else. */
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { DriverMetrics } from "../../src/driver/driver.ts";
import { HIP_DROPS } from "../../src/hip/drop-reasons.ts";
import { EVENTS } from "../../src/overlay/event-catalogue.ts";
import { DATA_DROPS, DRIVER_DROPS, FATES } from "../../src/runtime/catalogue/data-drops.ts";
import { DROPS, dropsIn } from "../../src/runtime/catalogue/drops.ts";
import { LOG_LINES } from "../../src/runtime/catalogue/log-lines.ts";
import { METRICS } from "../../src/runtime/catalogue/metrics.ts";
import { DRIVER_COUNTERS, JOB_COUNTERS, PLANE_COUNTERS } from "../../src/runtime/catalogue/plane-metrics.ts";
import { JobPool } from "../../src/runtime/job-pool.ts";
import { createMetricsPage, type MetricsInput } from "../../src/runtime/metrics-page.ts";
import { ShortJobs } from "../../src/runtime/short-jobs.ts";
import { MISSING, prometheusProgram } from "../../tools/lab/prometheus.ts";
import { overlayBench } from "../support/catalogue.ts";

const ROOT = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** All of src/ but hipctl and the tables of the catalogue, as one text. */
let sources = "";
beforeAll(() => {
  sources = globSync("src/**/*.ts", { cwd: ROOT })
    .filter((file) => !/catalogue|drop-reasons|src\/cli\/(?!hipd)/.test(file))
    .map(read)
    .join("\n");
});

/** Rows of HIPD_VERDICTS: name and meaning. */
function verdicts(): readonly (readonly [string, string])[] {
  const rows = read("native/verdict.h").matchAll(/X\(\w+,\s*"(\w+)",\s*"([^"]*)"\)/g);
  return [...rows].map(([, name = "", meaning = ""]) => [name, meaning]);
}

describe("drop reasons", () => {
  test("every verdict of the data plane that is a loss has its row, with the same meaning", () => {
    const losses = verdicts().filter(([name]) => name.startsWith("drop_"));
    expect(losses.length).toBeGreaterThan(30);
    const rows = Object.entries(DATA_DROPS).map(([reason, { meaning }]) => [`drop_${reason}`, meaning]);
    expect(sorted(rows)).toEqual(sorted(losses));
  });

  test("every other verdict has its row", () => {
    const rest = verdicts().filter(([name]) => !name.startsWith("drop_") && name !== "ok");
    expect(sorted(Object.entries(FATES))).toEqual(sorted(rest));
  });

  test("every reason of the protocol is one that the protocol gives", () => {
    const words = (type: string): string[] => {
      const [, text = ""] =
        new RegExp(`export type ${type} =([^;]*);`).exec(read("src/wire/packet.ts")) ?? [];
      return [...text.matchAll(/"(\w+)"/g)].map(([, word = ""]) => word);
    };
    // Their names are put together where they are given.
    const composed = [
      ...words("ParseReason").map((word) => `malformed_${word}`),
      ...words("PacketName").map((word) => `${word.toLowerCase()}_unexpected`),
    ];
    expect(composed).toHaveLength(17);
    const reasons = Object.keys(HIP_DROPS);
    expect(composed.filter((reason) => !reasons.includes(reason))).toEqual([]);
    const written = reasons.filter((reason) => !composed.includes(reason));
    expect(written.filter((reason) => !sources.includes(`"${reason}"`))).toEqual([]);
  });

  test("each says what it means and what to do, as sentences do", () => {
    for (const { reason, meaning, remedy } of DROPS) {
      expect(meaning, reason).toMatch(/^[a-z#"A-Z0-9][^\n]{5,}[^.]$/);
      expect(remedy, reason).toMatch(/^[A-Z][^\n]+\.$/);
    }
  });

  test("drops are found among counters, the most frequent ones first", () => {
    const found = dropsIn({
      esp_tx_packets_total: 9,
      drop_esp_auth_total: 3,
      hip_drop_mac_total: 5,
      drop_checksum_total: 1,
      drop_of_tomorrow_total: 2,
    });
    expect(found.map(({ layer, reason, count }) => [layer, reason, count])).toEqual([
      ["hip", "mac", 5],
      ["data", "esp_auth", 3],
      ["data", "of_tomorrow", 2],
      ["driver", "checksum", 1],
    ]);
    expect(found[1]?.meaning).toBe("the integrity check failed");
    expect(found[2]?.remedy).toContain("hipctl version");
  });
});

describe("events and log lines", () => {
  test("every event of the catalogue is one that the code tells", () => {
    expect(Object.keys(EVENTS).filter((name) => !sources.includes(`"${name}"`))).toEqual([]);
  });

  test("every field of an event is one that the code fills", () => {
    const unused = Object.entries(EVENTS).flatMap(([name, { fields }]) =>
      Object.keys(fields)
        .filter((field) => !new RegExp(`\\b${field}\\b`).test(sources))
        .map((field) => `${name}: ${field}`),
    );
    expect(unused).toEqual([]);
  });

  test("every log line of the catalogue is one that the daemon writes", () => {
    expect(Object.keys(LOG_LINES).filter((name) => !sources.includes(`"${name}"`))).toEqual([]);
  });
});

describe("metrics", () => {
  test("every count of the data plane becomes a metric", () => {
    const tallies = [...read("native/stats.cc").matchAll(/return "(\w+)";/g)]
      .map(([, name]) => `${name}_total`)
      .filter((name) => name !== "unknown_total");
    const gauges = [...read("native/plane.cc").matchAll(/push_back\(\{"(\w+)"/g)].map(([, name]) => name);
    const added = [...read("src/runtime/native.ts").matchAll(/counters\["(\w+)"\] =/g)].map(
      ([, name]) => name,
    );
    const fates = verdicts().filter(([name]) => !name.startsWith("drop_") && name !== "ok");
    const counted = [...tallies, ...gauges, ...added, ...fates.map(([name]) => `${name}_total`)];
    expect(tallies.length).toBeGreaterThan(20);
    expect(Object.keys(PLANE_COUNTERS).sort()).toEqual(counted.sort());
  });

  test("every count of the driver and of the job threads becomes a metric", async () => {
    const { driver } = overlayBench();
    const counted = Object.keys(driver.metrics().driver).filter((name) => !/^(drop|overflow)_/.test(name));
    expect(Object.keys(DRIVER_COUNTERS).sort()).toEqual(counted.sort());
    const drops = Object.keys(driver.metrics().driver).filter((name) => name.startsWith("drop_"));
    expect(
      Object.keys(DRIVER_DROPS)
        .map((reason) => `drop_${reason}_total`)
        .sort(),
    ).toEqual(drops.sort());
    const threads = new JobPool([]);
    expect(Object.keys(JOB_COUNTERS).sort()).toEqual(Object.keys(new ShortJobs(threads).counters()).sort());
    await threads.close();
  });

  test("the page has every metric of the catalogue, with help and type, and no other of ours", async () => {
    const page = await render();
    const helps = [...page.matchAll(/^# HELP (hipd_\w+) (.+)$/gm)].map(([, name, help]) => [name, help]);
    expect(sorted(helps)).toEqual(sorted(Object.entries(METRICS).map(([name, { help }]) => [name, help])));
    const types = [...page.matchAll(/^# TYPE (hipd_\w+) (\w+)$/gm)].map(([, name, type]) => [name, type]);
    expect(sorted(types)).toEqual(sorted(Object.entries(METRICS).map(([name, { kind }]) => [name, kind])));
  });

  test("each sample has the labels of the catalogue", async () => {
    const page = await render();
    for (const [, name = "", text = ""] of page.matchAll(
      /^(hipd_\w+?)(?:_bucket|_sum|_count)?(\{.*\})? \S+$/gm,
    )) {
      const labels = [...text.matchAll(/(\w+)="/g)]
        .map(([, label]) => label)
        .filter((label) => label !== "le");
      const row = METRICS[name as keyof typeof METRICS];
      expect(Object.keys(row.labels), name).toEqual(labels);
    }
  });

  test("names follow the rules of Prometheus", () => {
    for (const [name, { kind, help }] of Object.entries(METRICS)) {
      expect(name).toMatch(/^hipd_[a-z][a-z0-9_]*$/);
      expect(name.endsWith("_total"), name).toBe(kind === "counter");
      expect(name).not.toMatch(/milli|micro|kilo|_(ms|us|kb|mb|percent)(_|$)/);
      expect(help).toMatch(/\.$/);
    }
  });

  test("promtool finds nothing to complain about", async (context) => {
    const page = await render();
    const program = prometheusProgram("promtool");
    if (program === undefined) return context.skip(MISSING);
    const promtool = spawnSync(program, ["check", "metrics"], { input: page, encoding: "utf8" });
    expect(promtool.stdout + promtool.stderr).toBe("");
    expect(promtool.status).toBe(0);
  });

  test("what never happened is 0, so that the first time can be seen", async () => {
    const page = await render();
    expect(page).toContain('hipd_drops_total{layer="hip",reason="mac"} 4');
    expect(page).toContain('hipd_drops_total{layer="hip",reason="signature"} 0');
    expect(page).toContain('hipd_drops_total{layer="data",reason="esp_auth"} 0');
    expect(page).toContain('hipd_events_total{name="clone-detected"} 0');
    expect(page).toContain('hipd_overflows_total{table="held_packets"} 0');
    expect(page).toContain('hipd_overflows_total{table="associations"} 2');
    expect(page).toContain('hipd_handovers_total{reason="path-dead",result="failed"} 0');
  });

  test("peers have series of their own", async () => {
    const page = await render();
    expect(page).toContain('hipd_peer_up{peer="db1"} 1');
    expect(page).toContain('hipd_peer_rtt_seconds{peer="db1"} 0.0125');
    expect(page).toContain('hipd_peer_esp_bytes_total{peer="db1",direction="tx"} 7');
    expect(page).toContain('hipd_peer_unreachable{peer="db2"} 1');
    expect(page).not.toContain('hipd_peer_rtt_seconds{peer="db2"}');
    expect(page).toContain("hipd_peers_without_series 1");
  });
});

function sorted<T extends readonly unknown[]>(rows: readonly T[]): readonly T[] {
  return [...rows].sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1));
}

function render(): Promise<string> {
  const { driver } = overlayBench();
  const metrics = driver.metrics();
  const overlay: DriverMetrics["overlay"] = {
    ...metrics.overlay,
    peers: 3,
    drops: { mac: 4, associations_full: 2 },
  };
  const none = {
    rttMillis: undefined,
    loss: undefined,
    pathMtu: undefined,
    txBytes: undefined,
    rxBytes: undefined,
  };
  const input: MetricsInput = {
    driver: { ...metrics, overlay },
    jobs: {},
    metadata: {},
    names: {},
    peers: [
      {
        ...none,
        name: "db1",
        up: true,
        unreachable: false,
        rttMillis: 12.5,
        loss: 0,
        pathMtu: 1500,
        txBytes: 7,
        rxBytes: 8,
      },
      { ...none, name: "db2", up: false, unreachable: true },
    ],
    version: "1.2.3",
    stateWriteFailures: 0,
  };
  return createMetricsPage(() => input).render();
}
