/** Results for people at a terminal (tables) and for programs (JSON); page.ts makes the page with plots. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "./machine.ts";
import { page } from "./page.ts";
import type { Options, Row, Table } from "./suite.ts";

export interface Report {
  readonly when: string;
  readonly machine: Machine;
  readonly options: Options;
  /** By the names of the contestants. */
  readonly versions: Readonly<Record<string, string>>;
  readonly skipped: readonly string[];
  /** What else the machine did: average load before and after. */
  readonly load: { readonly before: number; readonly after: number };
  readonly tables: readonly Table[];
}

/** What tables compare with; JSON has the ratios to all. */
export const BASES = ["bare", "tls-c", "tls-node", "stunnel", "wireguard-go"];

/** The columns of a table after its first one, as text. */
export function columns(table: Table): { head: string[]; lines: string[][] } {
  const bases = BASES.filter(
    (name) => table.rows.length > 1 && table.rows.some((row) => row.contestant === name),
  );
  const extras = [...new Set(table.rows.flatMap((row) => Object.keys(row.extra)))];
  const several = table.rows.some((row) => row.summary.samples.length > 1);
  return {
    head: [table.unit, ...(several ? ["spread"] : []), ...bases.map((name) => `/ ${name}`), ...extras],
    lines: table.rows.map((row) => [
      digits(row.summary.median),
      ...(several ? [`${(row.summary.spread * 100).toFixed(0)} %`] : []),
      ...bases.map((name) => digits(row.ratios[name] ?? Number.NaN)),
      ...extras.map((name) => (row.extra[name] === undefined ? "" : digits(row.extra[name]))),
    ]),
  };
}

/** Enough digits to tell two values apart, and no more. */
export function digits(value: number): string {
  if (Number.isNaN(value)) return "-";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 || size === 0 ? 2 : 3);
}

/** Aligned columns, with ratios to what one would use instead. */
export function tableText(table: Table): string {
  const { head, lines } = columns(table);
  const all = [["", ...head], ...lines.map((line, i) => [(table.rows[i] as Row).contestant, ...line])];
  const widths = (all[0] ?? []).map((_, column) =>
    Math.max(...all.map((line) => (line[column] ?? "").length)),
  );
  const text = all.map((line) =>
    line
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  "),
  );
  return [table.title, ...text, ...table.notes.map((note) => `note: ${note}`)].join("\n");
}

/** Distributions of more values than this are thinned for JSON and plots: their order is kept, each n-th stays. */
const MAX_POINTS = 500;

export function thinned(values: readonly number[], most = MAX_POINTS): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length <= most) return sorted;
  return Array.from(
    { length: most },
    (_, i) => sorted[Math.round((i * (sorted.length - 1)) / (most - 1))] ?? 0,
  );
}

/** Writes `<folder>/<name>.json` and `.html`; gives their names. */
export function writeReport(folder: string, name: string, report: Report): string[] {
  mkdirSync(folder, { recursive: true });
  const tables = report.tables.map((table) => ({
    ...table,
    rows: table.rows.map((row) =>
      row.distribution === undefined ? row : { ...row, distribution: thinned(row.distribution) },
    ),
  }));
  const files = { json: join(folder, `${name}.json`), html: join(folder, `${name}.html`) };
  writeFileSync(files.json, `${JSON.stringify({ ...report, tables }, null, 1)}\n`);
  writeFileSync(files.html, page({ ...report, tables }));
  return Object.values(files);
}
