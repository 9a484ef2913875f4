/** Alert rules and dashboards: sound by themselves, documented, and only about metrics that there are. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { METRICS } from "../../src/runtime/catalogue/metrics.ts";
import { dashboardFiles } from "../../tools/dashboards/files.ts";
import { MISSING, prometheusProgram } from "../../tools/lab/prometheus.ts";

const ROOT = join(import.meta.dirname, "../..");
const RULES = join(ROOT, "deploy/prometheus");
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** Names of series that these expressions read, without the endings of histograms. */
function metricsIn(text: string): readonly string[] {
  return [...new Set(text.match(/\b(?:hipd|process|nodejs)_[a-z0-9_]+/g) ?? [])].map((name) =>
    name.replace(/(_seconds)_bucket$/, "$1"),
  );
}

/** What prom-client gives of every Node.js program, as far as rules and dashboards use it. */
const USUAL = new Set([
  "process_start_time_seconds",
  "process_resident_memory_bytes",
  "process_cpu_seconds_total",
  "process_cpu_user_seconds_total",
  "process_cpu_system_seconds_total",
  "process_open_fds",
  "nodejs_eventloop_lag_p50_seconds",
  "nodejs_eventloop_lag_p99_seconds",
  "nodejs_heap_size_used_bytes",
  "nodejs_external_memory_bytes",
]);

function unknown(text: string): readonly string[] {
  return metricsIn(text).filter((name) => !(name in METRICS) && !USUAL.has(name));
}

describe("alert rules", () => {
  const rules = read("deploy/prometheus/hipd.rules.yml");
  const alerts = [...rules.matchAll(/^ {6}- alert: (\w+)$/gm)].map(([, name = ""]) => name);

  test("each has its page, a severity, and a summary", () => {
    expect(alerts.length).toBeGreaterThan(10);
    const headings = [...read("docs/ALERTS.md").matchAll(/^## (\w+)$/gm)].map(([, name = ""]) => name);
    for (const part of rules.split(/^ {6}- alert: /m).slice(1)) {
      const anchor = /^ +runbook: docs\/ALERTS\.md#(\w+)$/m.exec(part)?.[1];
      expect(headings.map((name) => name.toLowerCase())).toContain(anchor);
      expect(part).toMatch(/^ +severity: (warning|critical)$/m);
      expect(part).toMatch(/^ +summary: ".+"$/m);
      expect(part).toMatch(/^ +description: ".+\."$/m);
    }
    for (const heading of headings) expect(alerts).toContain(heading);
  });

  test("each has a unit test that lets it fire, and one that does not", () => {
    const cases = read("deploy/prometheus/hipd.rules.test.yml");
    for (const alert of alerts) {
      expect(cases, alert).toMatch(new RegExp(`alertname: ${alert}\\n +exp_alerts:\\n +- exp_labels`));
      expect(cases, alert).toMatch(new RegExp(`alertname: ${alert}\\n +exp_alerts: \\[\\]`));
    }
  });

  test("they read only metrics that there are, and their results are among those that occur", () => {
    expect(unknown(rules)).toEqual([]);
    for (const [, reasons = ""] of rules.matchAll(/reason=~?"([^"]+)"/g)) {
      const known = read("docs/REFERENCE.md");
      for (const reason of reasons.split("|")) expect(known).toContain(`| \`${reason}\` |`);
    }
  });

  test.for([
    ["check", "rules", "hipd.rules.yml"],
    ["check", "config", "prometheus.yml"],
    ["test", "rules", "hipd.rules.test.yml"],
  ] as const)("promtool %s %s %s", ([what, kind, file], context) => {
    const program = prometheusProgram("promtool");
    if (program === undefined) return context.skip(MISSING);
    const done = spawnSync(program, [what, kind, file], { cwd: RULES, encoding: "utf8" });
    expect(done.stdout + done.stderr).toContain("SUCCESS");
    expect(done.status, done.stdout + done.stderr).toBe(0);
  });
});

interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly datasource: { readonly uid: string };
}

interface PanelJson {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
}

interface DashboardJson {
  readonly uid: string;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly PanelJson[];
}

describe.each(dashboardFiles())("%s", (file, text) => {
  const dashboard = JSON.parse(text) as DashboardJson;
  const panels = dashboard.panels.filter(({ type }) => type !== "row");

  test("is up to date: make reference", () => {
    expect(readFileSync(file, "utf8") === text).toBe(true);
  });

  test("every panel has an id of its own, a title, a place of its own, and something to show", () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const taken = new Set<string>();
    for (const { title, gridPos, targets = [], type } of dashboard.panels) {
      expect(title).not.toBe("");
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x} ${y}`), `${title} lies on another panel`).toBe(false);
          taken.add(`${x} ${y}`);
        }
      }
      if (type === "row") continue;
      expect(targets.length, title).toBeGreaterThan(0);
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
      for (const { expr, datasource } of targets) {
        expect(expr).not.toBe("");
        expect(datasource.uid).toBe("$datasource");
      }
    }
  });

  test("uses only variables that it has, one of them the data source", () => {
    const names = dashboard.templating.list.map(({ name }) => name);
    expect(dashboard.templating.list[0]).toMatchObject({ name: "datasource", type: "datasource" });
    for (const [, name = ""] of text.matchAll(/\$(\w+)/g)) {
      if (!name.startsWith("__")) expect(names).toContain(name);
    }
  });

  test("reads only metrics that there are", () => {
    expect(unknown(panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join("\n"))).toEqual(
      [],
    );
  });
});
