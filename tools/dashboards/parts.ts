/** What the dashboards are put together from. */
import type { Panel, Variable } from "./panels.ts";

export const JOB: Variable = {
  name: "job",
  label: "Job",
  query: "label_values(hipd_build_info, job)",
  many: true,
};

/** One number. */
export function stat(title: string, expr: string, more: Partial<Panel> = {}): Panel {
  return { title, kind: "stat", queries: [{ expr, legend: "" }], ...more };
}

/** Curves of one expression. */
export function series(
  title: string,
  unit: string,
  expr: string,
  legend: string,
  more: Partial<Panel> = {},
): Panel {
  return { title, kind: "timeseries", unit, queries: [{ expr, legend }], ...more };
}

/** Curves of several expressions, each with its legend. */
export function curves(title: string, unit: string, exprs: Readonly<Record<string, string>>): Panel {
  const queries = Object.entries(exprs).map(([legend, expr]) => ({ expr, legend }));
  return { title, kind: "timeseries", unit, queries };
}

export function table(title: string, expr: string, more: Partial<Panel> = {}): Panel {
  return { title, kind: "table", queries: [{ expr, legend: "" }], ...more };
}

/** What a counter whose labels match grows by in a second. */
export function rateOf(metric: string, labels: string): string {
  return `rate(${metric}{${labels}}[$__rate_interval])`;
}
