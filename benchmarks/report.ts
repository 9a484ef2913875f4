/** Results for people (a table, a plot) and for programs (JSON). */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "./machine.ts";
import type { Options, Row, Table } from "./suite.ts";

export interface Report {
  readonly when: string;
  readonly machine: Machine;
  readonly options: Options;
  readonly tables: readonly Table[];
}

/** Aligned columns; ratios to each other contestant. */
export function tableText(table: Table): string {
  const others = table.rows.map((row) => row.contestant);
  const extras = [...new Set(table.rows.flatMap((row) => Object.keys(row.extra)))];
  const head = ["", table.unit, "spread", ...others.map((name) => `/ ${name}`), ...extras];
  const lines = table.rows.map((row) => [
    row.contestant,
    row.summary.median.toFixed(2),
    `${(row.summary.spread * 100).toFixed(0)} %`,
    ...others.map((name) => (row.ratios[name] ?? Number.NaN).toFixed(2)),
    ...extras.map((name) => row.extra[name]?.toFixed(2) ?? ""),
  ]);
  const all = [head, ...lines];
  const widths = head.map((_, column) => Math.max(...all.map((line) => (line[column] ?? "").length)));
  const text = all.map((line) =>
    line
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  "),
  );
  return [table.title, ...text, ...table.notes.map((note) => `note: ${note}`)].join("\n");
}

/** Writes `<folder>/<suite>.json` and `.svg` for each table; gives their names. */
export function writeReport(folder: string, report: Report): string[] {
  mkdirSync(folder, { recursive: true });
  const files: string[] = [];
  for (const table of report.tables) {
    const name = join(folder, table.suite);
    writeFileSync(`${name}.json`, `${JSON.stringify({ ...report, tables: [table] }, null, 2)}\n`);
    writeFileSync(`${name}.svg`, plot(table));
    files.push(`${name}.json`, `${name}.svg`);
  }
  return files;
}

const WIDTH = 760;
const LEFT = 130;
const BAR = 26;
const GAP = 18;
const TOP = 56;

/** Horizontal bars: the median, with a line from the lowest to the highest round. */
export function plot(table: Table): string {
  const most = Math.max(...table.rows.map((row) => row.summary.high), Number.MIN_VALUE);
  const scale = (WIDTH - LEFT - 90) / most;
  const height = TOP + table.rows.length * (BAR + GAP) + 20;
  const bars = table.rows.map((row, index) => bar(row, TOP + index * (BAR + GAP), scale));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="13">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="16" y="24" font-size="16" font-weight="bold">${escaped(table.title)}</text>`,
    `<text x="16" y="43" fill="#555555">${escaped(table.unit)}; bars are medians, lines go from the lowest to the highest round</text>`,
    ...bars,
    "</svg>",
    "",
  ].join("\n");
}

function bar(row: Row, y: number, scale: number): string {
  const { median, low, high } = row.summary;
  const middle = y + BAR / 2;
  const colour = row.contestant.startsWith("hipd") ? "#1f6fb4" : "#9aa5ad";
  const at = (value: number): string => (LEFT + value * scale).toFixed(1);
  return [
    `<g><title>${escaped(row.what)}</title>`,
    `<text x="${LEFT - 8}" y="${middle + 4}" text-anchor="end">${escaped(row.contestant)}</text>`,
    `<rect x="${LEFT}" y="${y}" width="${(median * scale).toFixed(1)}" height="${BAR}" fill="${colour}"/>`,
    `<line x1="${at(low)}" y1="${middle}" x2="${at(high)}" y2="${middle}" stroke="#222222" stroke-width="1.5"/>`,
    `<text x="${(LEFT + high * scale + 8).toFixed(1)}" y="${middle + 4}">${median >= 100 ? median.toFixed(0) : median.toFixed(2)}</text></g>`,
  ].join("");
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
