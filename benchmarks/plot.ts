/** Plots as SVG, without anything from elsewhere: bars with spread, lines over time, distributions. */
import { percentile } from "./stats.ts";
import type { Row, Table } from "./suite.ts";

const WIDTH = 760;
const LEFT = 150;
const BAR = 20;
const GAP = 10;

/** The same colour for the same contestant in every plot; what is ours is blue. */
const COLOURS: Readonly<Record<string, string>> = {
  "hipd HIT": "#1f6fb4",
  "hipd LSI": "#4aa3df",
  "hipd-poll HIT": "#0b3c66",
  "hipd-poll LSI": "#7cc4f0",
  bare: "#6b7780",
  "tls-c": "#d1495b",
  "tls-node": "#edae49",
  stunnel: "#66a182",
  "wireguard-go": "#8d5a97",
  openvpn: "#a0785a",
  nebula: "#c77d9b",
  tinc: "#9a9a2e",
  fastd: "#3d8f8f",
  strongswan: "#444444",
};
const OTHER = "#1f6fb4";

/** Horizontal bars: the median, with a line from the lowest to the highest round. */
export function bars(table: Table): string {
  const most = Math.max(...table.rows.map((row) => row.summary.high), Number.MIN_VALUE);
  const scale = (WIDTH - LEFT - 80) / most;
  const left = Math.max(LEFT, ...table.rows.map((row) => row.contestant.length * 7 + 12));
  const all = table.rows.map((row, i) =>
    bar(
      row,
      i * (BAR + GAP),
      (scale * (WIDTH - left - 80)) / (WIDTH - LEFT - 80),
      left,
      COLOURS[row.contestant] ?? OTHER,
    ),
  );
  return svg(
    table.rows.length * (BAR + GAP),
    all,
    `${table.title}: medians, with lines from the lowest to the highest round`,
  );
}

function bar(row: Row, y: number, scale: number, left: number, colour: string): string {
  const { median, low, high } = row.summary;
  const middle = y + BAR / 2;
  const at = (value: number): string => (left + value * scale).toFixed(1);
  const label = median >= 100 ? median.toFixed(0) : median >= 0.1 ? median.toFixed(2) : median.toFixed(3);
  return [
    `<g><title>${escaped(row.what)}: ${label}, ${low.toPrecision(3)} to ${high.toPrecision(3)}</title>`,
    `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${escaped(row.contestant)}</text>`,
    `<rect x="${left}" y="${y}" width="${(median * scale).toFixed(1)}" height="${BAR}" fill="${colour}"/>`,
    `<path d="M${at(low)} ${middle}H${at(high)}M${at(low)} ${middle - 4}v8M${at(high)} ${middle - 4}v8" stroke="#222" fill="none"/>`,
    `<text x="${(left + high * scale + 6).toFixed(1)}" y="${middle + 4}">${label}</text></g>`,
  ].join("");
}

type Point = readonly [x: number, y: number];

interface Line {
  readonly name: string;
  readonly points: readonly Point[];
}

/** Values over time, of the rows that have them; undefined when none has. */
export function overTime(table: Table): string | undefined {
  const lines = table.rows
    .filter((row) => (row.series?.length ?? 0) > 1)
    .map((row) => ({ name: row.contestant, points: row.series as readonly Point[] }));
  if (lines.length === 0) return undefined;
  return chart(lines, { x: "seconds", y: table.unit, title: `${table.title}: the median round over time` });
}

/** For each contestant the share of values (up) at or below a delay (across, logarithmic); undefined when none has values. */
export function distributions(table: Table): string | undefined {
  const lines = table.rows
    .filter((row) => (row.distribution?.length ?? 0) > 1)
    .map((row) => ({ name: row.contestant, points: cumulative(row.distribution as readonly number[]) }));
  if (lines.length === 0) return undefined;
  const title = `${table.title}: share of the packets, in percent, at or below a delay`;
  return chart(lines, { x: "ms", y: "%", title, logarithmic: true });
}

function cumulative(values: readonly number[]): Point[] {
  return Array.from({ length: 101 }, (_, percent) => [percentile(values, percent), percent] as const);
}

const HEIGHT = 220;
const BOTTOM = 34;
const TOP = 22;
const AXIS = 50;

function chart(
  lines: readonly Line[],
  axes: { readonly x: string; readonly y: string; readonly title: string; readonly logarithmic?: boolean },
): string {
  const xs = lines
    .flatMap((line) => line.points.map(([x]) => x))
    .filter((x) => axes.logarithmic !== true || x > 0);
  const most = Math.max(...lines.flatMap((line) => line.points.map(([, y]) => y)), Number.MIN_VALUE);
  const warp = (x: number): number => (axes.logarithmic === true ? Math.log10(Math.max(x, 1e-6)) : x);
  const [from, to] = [warp(Math.min(...xs)), warp(Math.max(...xs))];
  const right = WIDTH - 150;
  const atX = (x: number): number => AXIS + ((warp(x) - from) / (to - from || 1)) * (right - AXIS);
  const atY = (y: number): number => HEIGHT - BOTTOM - (y / most) * (HEIGHT - BOTTOM - TOP);
  const parts = ticksOf(from, to, axes.logarithmic === true).map(
    (x) =>
      `<path d="M${atX(x).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}" stroke="#e2e6e9"/><text x="${atX(x).toFixed(1)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${label(x)}</text>`,
  );
  for (const share of [0, 0.5, 1]) {
    const y = atY(most * share).toFixed(1);
    parts.push(`<path d="M${AXIS} ${y}H${right}" stroke="#e2e6e9"/>`);
    parts.push(`<text x="${AXIS - 6}" y="${Number(y) + 4}" text-anchor="end">${label(most * share)}</text>`);
  }
  parts.push(`<text x="${right}" y="${HEIGHT - 3}" text-anchor="end">${escaped(axes.x)}</text>`);
  parts.push(`<text x="${AXIS - 6}" y="10" text-anchor="end">${escaped(axes.y)}</text>`);
  lines.forEach((line, i) => {
    const colour = COLOURS[line.name] ?? OTHER;
    const points = line.points.map(([x, y]) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`).join(" ");
    parts.push(
      `<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="1.6"><title>${escaped(line.name)}</title></polyline>`,
      `<path d="M${right + 12} ${18 + i * 16}h16" stroke="${colour}" stroke-width="3"/>`,
      `<text x="${right + 34}" y="${22 + i * 16}">${escaped(line.name)}</text>`,
    );
  });
  return svg(Math.max(HEIGHT, 30 + lines.length * 16), parts, axes.title);
}

/** Some round numbers between two; logarithmic: 1, 2 and 5 of each power of ten. */
function ticksOf(from: number, to: number, logarithmic: boolean): number[] {
  if (logarithmic) {
    const powers = Array.from({ length: 14 }, (_, i) => 10 ** (i - 6));
    const all = powers.flatMap((power) => [1, 2, 5].map((digit) => digit * power));
    const inside = all.filter((x) => Math.log10(x) >= from && Math.log10(x) <= to);
    return inside.length > 9 ? inside.filter((x) => /^1(e|0|$)|^0\.0*1$/.test(String(x))) : inside;
  }
  const raw = (to - from) / 6 || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((value) => value >= raw) ?? raw;
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, i) => (first + i) * step);
}

function label(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function svg(height: number, parts: readonly string[], title: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height + 4}" role="img" font-family="sans-serif" font-size="12"><title>${escaped(title)}</title>${parts.join("")}</svg>`;
}

export function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
