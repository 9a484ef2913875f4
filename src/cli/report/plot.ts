/** Small plots over time: lines with their area, a scale with round numbers, gaps where nothing is known. */
import { html, type Markup } from "./html.ts";

export interface Line {
  readonly name: string;
  /** Class of its colour: "tx", "rx", "rtt". */
  readonly kind: string;
  readonly values: readonly (number | null)[];
}

export interface Plot {
  /** For those who do not see it. */
  readonly title: string;
  /** Seconds, one for each value. */
  readonly at: readonly number[];
  readonly lines: readonly Line[];
  /** How a value of the scale is written. */
  readonly unit: (value: number) => string;
  /** The top of the scale at least. */
  readonly least?: number;
  /** Powers of what the scale's numbers are round to: 1024 for bytes. */
  readonly base?: number;
  readonly width: number;
  readonly height: number;
}

const MARGIN = { left: 74, right: 8, top: 8, bottom: 20 };

export function plot(wanted: Plot): Markup {
  const { at, lines, unit, width, height, title } = wanted;
  const values = lines.flatMap((line) => line.values).filter((value) => value !== null);
  const top = niceTop(Math.max(wanted.least ?? 0, ...values), wanted.base ?? 1000);
  const last = Math.max(1e-9, at.at(-1) ?? 1);
  const x = (seconds: number): number =>
    MARGIN.left + (seconds / last) * (width - MARGIN.left - MARGIN.right);
  const y = (value: number): number =>
    height - MARGIN.bottom - (value / top) * (height - MARGIN.top - MARGIN.bottom);
  const marks = [0, top / 2, top];
  const body =
    values.length === 0
      ? html`<text class="soft small" x="${(width + MARGIN.left) / 2}" y="${height / 2}" text-anchor="middle">nothing was measured</text>`
      : html`${lines.map((line) => drawn(line, at, x, y))}`;
  return html`<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${title}"><title>${title}</title>
${marks.map((mark) => html`<line class="grid" x1="${MARGIN.left}" x2="${width - MARGIN.right}" y1="${y(mark)}" y2="${y(mark)}" /><text class="soft small" x="${MARGIN.left - 6}" y="${y(mark) + 4}" text-anchor="end">${unit(mark)}</text>`)}
<text class="soft small" x="${MARGIN.left}" y="${height - 4}">0 s</text><text class="soft small" x="${width - MARGIN.right}" y="${height - 4}" text-anchor="end">${seconds(last)}</text>
${body}</svg>`;
}

function drawn(
  line: Line,
  at: readonly number[],
  x: (s: number) => number,
  y: (v: number) => number,
): Markup {
  return html`${runs(line.values).map((run) => {
    const points = run.map((i) => [x(at[i] ?? 0), y(line.values[i] ?? 0)] as const);
    const [first, last] = [points[0], points.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    // One value alone is a dot: a line of no length with a round end.
    const path = points.map(([px, py], i) => `${i === 0 ? "M" : "L"}${fixed(px)} ${fixed(py)}`).join("");
    const area = `${path}L${fixed(last[0])} ${fixed(y(0))}L${fixed(first[0])} ${fixed(y(0))}Z`;
    const dot = points.length === 1 ? `${path}h0.01` : path;
    return html`<path class="area ${line.kind}" d="${area}" /><path class="line ${line.kind}" d="${dot}" />`;
  })}`;
}

/** Indices of neighbours that are known. */
export function runs(values: readonly (number | null)[]): readonly (readonly number[])[] {
  const all: number[][] = [];
  for (const [i, value] of values.entries()) {
    if (value === null) continue;
    const open = all.at(-1);
    if (open !== undefined && open.at(-1) === i - 1) open.push(i);
    else all.push([i]);
  }
  return all;
}

/** The next number of the form 1, 2 or 5 times a power of ten, of as many of the unit as there are. */
export function niceTop(value: number, base: number): number {
  if (!(value > 0)) return 1;
  const unit = base ** Math.max(0, Math.floor(Math.log(value) / Math.log(base) + 1e-9));
  const inUnit = value / unit;
  const power = 10 ** Math.floor(Math.log10(inUnit) + 1e-9);
  const step = [1, 2, 5, 10].find((factor) => factor * power >= inUnit * (1 - 1e-9)) ?? 10;
  return step * power * unit;
}

function seconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} s`;
}

function fixed(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** A name, with its colour in front. */
export function plotKey(lines: readonly Pick<Line, "name" | "kind">[]): Markup {
  return html`<ul class="key">${lines.map(
    ({ name, kind }) =>
      html`<li><svg width="24" height="10" viewBox="0 0 24 10" aria-hidden="true"><path class="line ${kind}" d="M2 5H22" /></svg>${name}</li>`,
  )}</ul>`;
}
