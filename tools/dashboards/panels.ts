/** Grafana dashboards from short descriptions: rows of panels, each with its expressions; ids and places follow by themselves. */

export interface Query {
  readonly expr: string;
  /** Of the series, `{{instance}}`. */
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  readonly kind: "stat" | "timeseries" | "table" | "heatmap" | "state-timeline";
  readonly queries: readonly Query[];
  readonly unit?: string;
  readonly description?: string;
  /** Of 24. */
  readonly width?: number;
  /** Values from which on it is yellow and red. */
  readonly warn?: readonly [yellow: number, red: number];
  readonly stacked?: boolean;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Variable {
  readonly name: string;
  readonly label: string;
  /** What Prometheus is asked for its values. */
  readonly query: string;
  readonly many: boolean;
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly variables: readonly Variable[];
  readonly rows: readonly Row[];
}

const SOURCE = { type: "prometheus", uid: "$datasource" };
const HEIGHTS = { stat: 4, timeseries: 8, table: 8, heatmap: 8, "state-timeline": 8 } as const;

export function dashboardJson(dashboard: Dashboard): unknown {
  const { uid, title, description, variables, rows } = dashboard;
  return {
    uid,
    title,
    description,
    tags: ["hipd"],
    schemaVersion: 38,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    timezone: "",
    annotations: {
      list: [
        {
          name: "Restarts",
          enable: true,
          datasource: SOURCE,
          expr: 'changes(process_start_time_seconds{job=~"$job"}[1m]) > 0',
          titleFormat: "hipd started on {{instance}}",
          iconColor: "orange",
        },
      ],
    },
    links: [
      {
        type: "dashboards",
        title: "hipd",
        tags: ["hipd"],
        asDropdown: true,
        includeVars: true,
        keepTime: true,
      },
    ],
    templating: { list: [datasource(), ...variables.map(variable)] },
    panels: placed(rows),
  };
}

function datasource(): unknown {
  return {
    name: "datasource",
    label: "Data source",
    type: "datasource",
    query: "prometheus",
    hide: 0,
    refresh: 1,
  };
}

function variable({ name, label, query, many }: Variable): unknown {
  return {
    name,
    label,
    type: "query",
    datasource: SOURCE,
    definition: query,
    query: { query, refId: name },
    refresh: 2,
    sort: 1,
    multi: many,
    includeAll: many,
    ...(many ? { current: { text: "All", value: "$__all" } } : {}),
  };
}

/** From left to right; a row begins where the last one ends. */
function placed(rows: readonly Row[]): readonly unknown[] {
  const out: unknown[] = [];
  let id = 0;
  let y = 0;
  for (const row of rows) {
    out.push({
      id: ++id,
      type: "row",
      title: row.title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: 24, h: 1 },
    });
    y++;
    let x = 0;
    let height = 0;
    for (const panel of row.panels) {
      const w = panel.width ?? (panel.kind === "stat" ? 4 : 12);
      const h = HEIGHTS[panel.kind];
      if (x + w > 24) {
        x = 0;
        y += height;
        height = 0;
      }
      out.push(panelJson(panel, ++id, { x, y, w, h }));
      x += w;
      height = Math.max(height, h);
    }
    y += height;
  }
  return out;
}

function panelJson(panel: Panel, id: number, gridPos: unknown): unknown {
  const { title, kind, queries, unit = "short", description = "", warn } = panel;
  const now = kind === "stat" || kind === "table";
  return {
    id,
    type: kind,
    title,
    description,
    datasource: SOURCE,
    gridPos,
    targets: queries.map(({ expr, legend }, i) => ({
      refId: String.fromCharCode(65 + i),
      datasource: SOURCE,
      expr,
      legendFormat: legend,
      editorMode: "code",
      ...(now ? { instant: true, range: false } : { range: true }),
      format: kind === "table" ? "table" : kind === "heatmap" ? "heatmap" : "time_series",
    })),
    fieldConfig: {
      defaults: {
        unit,
        ...(kind === "stat" && warn === undefined ? { color: { mode: "fixed", fixedColor: "text" } } : {}),
        ...(warn === undefined ? {} : { thresholds: thresholds(warn), color: { mode: "thresholds" } }),
        ...(kind === "timeseries" ? { custom: lines(panel) } : {}),
      },
      overrides: [],
    },
    options: options(kind),
    ...(kind === "table"
      ? {
          transformations: [
            { id: "organize", options: { excludeByName: { Time: true, job: true, __name__: true } } },
          ],
        }
      : {}),
  };
}

function thresholds([yellow, red]: readonly [number, number]): unknown {
  return {
    mode: "absolute",
    steps: [
      { color: "green", value: null },
      { color: "yellow", value: yellow },
      { color: "red", value: red },
    ],
  };
}

function lines({ stacked, warn }: Panel): unknown {
  return {
    lineWidth: 1,
    fillOpacity: stacked === true ? 30 : 8,
    showPoints: "never",
    stacking: { mode: stacked === true ? "normal" : "none", group: "A" },
    ...(warn === undefined ? {} : { thresholdsStyle: { mode: "dashed" } }),
  };
}

function options(kind: Panel["kind"]): unknown {
  const reduceOptions = { calcs: ["lastNotNull"], fields: "", values: false };
  switch (kind) {
    case "stat":
      return { reduceOptions, colorMode: "value", graphMode: "none", textMode: "auto", justifyMode: "auto" };
    case "table":
      return { showHeader: true, cellHeight: "sm" };
    case "heatmap":
      return { calculate: false, yAxis: { unit: "s" }, tooltip: { show: true } };
    case "state-timeline":
      return { mergeValues: true, showValue: "never", legend: { showLegend: false } };
    case "timeseries":
      return {
        legend: { displayMode: "list", placement: "bottom", showLegend: true },
        tooltip: { mode: "multi", sort: "desc" },
      };
  }
}
