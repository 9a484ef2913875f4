/** Text for people: tables with widths by content, colours only where they are wanted, sizes and times in few characters. */

/** Where a command writes, and what the reader can show. */
export interface Io {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  readonly color: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since 1970, for "3 min ago". */
  readonly now: () => number;
  /** Standard input to its end. */
  readonly input: () => Promise<Uint8Array>;
  /** Calls back when the user interrupts; the returned function ends that. */
  readonly onInterrupt: (action: () => void) => () => void;
  /** What standard output is; absent for files and pipes. */
  readonly terminal?: Terminal | undefined;
  /** Shows one line on standard error that the next call replaces; "" removes it. Absent where nobody watches. */
  readonly progress?: ((text: string) => void) | undefined;
}

export interface Terminal {
  readonly columns: () => number;
  readonly rows: () => number;
  /** Gives each key as it is pressed, unseen, until the returned function is called. Nothing when standard input is no terminal. */
  readonly keys: (each: (key: string) => void) => () => void;
  /** Calls back when the size changes; the returned function ends that. */
  readonly onResize: (action: () => void) => () => void;
  /** Writes as it is, with what moves the cursor; `Io.out` lets nothing but colours through to a terminal. */
  readonly draw?: (text: string) => void;
}

export type Style = "bold" | "dim" | "red" | "green" | "yellow";

const CODES: Readonly<Record<Style, string>> = { bold: "1", dim: "2", red: "31", green: "32", yellow: "33" };

export function styled(text: string, style: Style | undefined, color: boolean): string {
  return color && style !== undefined && text !== "" ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text;
}

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: "right";
  readonly style?: (row: Row) => Style | undefined;
  /** Left out where lines do not fit, the highest number first. Without a number the column always stays. */
  readonly spare?: number;
}

const GAP = 2;

/**
 * Columns two spaces apart; nothing after the last one. Unknown values show as "-". No rows: only the titles. `width` is that of the
 * terminal: columns that can be spared are left out until lines fit.
 */
export function table<Row>(
  rows: readonly Row[],
  all: readonly Column<Row>[],
  color: boolean,
  width = Number.POSITIVE_INFINITY,
): string {
  const { columns, widths, cells } = fitted(rows, all, width);
  const pad = (text: string, i: number): string => {
    const size = widths[i] as number;
    if (columns[i]?.align === "right") return text.padStart(size);
    return i === columns.length - 1 ? text : text.padEnd(size);
  };
  const titles = columns.map((column, i) => styled(pad(column.title, i), "bold", color)).join("  ");
  const lines = cells.map((line, r) =>
    line.map((cell, i) => styled(pad(cell, i), columns[i]?.style?.(rows[r] as Row), color)).join("  "),
  );
  return `${[titles, ...lines].join("\n")}\n`;
}

interface Fitted<Row> {
  readonly columns: readonly Column<Row>[];
  readonly widths: readonly number[];
  readonly cells: readonly (readonly string[])[];
}

function fitted<Row>(rows: readonly Row[], all: readonly Column<Row>[], width: number): Fitted<Row> {
  const texts = rows.map((row) => all.map((column) => column.value(row) || "-"));
  const sizes = all.map((column, i) =>
    texts.reduce((most, line) => Math.max(most, (line[i] ?? "").length), column.title.length),
  );
  const kept = new Set(all.keys());
  const total = (): number => [...kept].reduce((sum, i) => sum + (sizes[i] as number) + GAP, -GAP);
  while (total() > width) {
    const spares = [...kept].filter((i) => all[i]?.spare !== undefined);
    const most = Math.max(...spares.map((i) => all[i]?.spare as number));
    const gone = spares.findLast((i) => all[i]?.spare === most);
    if (gone === undefined) break;
    kept.delete(gone);
  }
  const pick = <T>(list: readonly T[]): readonly T[] => list.filter((_, i) => kept.has(i));
  return { columns: pick(all), widths: pick(sizes), cells: texts.map(pick) };
}

/** `name  value` lines, the values under each other; pairs without a value are left out. */
export function pairs(
  entries: readonly (readonly [name: string, value: string | null | undefined])[],
  color: boolean,
): string {
  const shown = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${styled(name.padEnd(width), "dim", color)}  ${value}\n`).join("");
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** One line, for streams. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `0 B`, `999 B`, `1.5 KiB`, `23 MiB`. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 10 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** `42 s`, `3 min`, `2 h 5 min`, `4 d 3 h`. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** How long ago an ISO 8601 time was; "" for null. */
export function ago(time: string | null, now: number): string {
  if (time === null || time === "") return "";
  return duration((now - Date.parse(time)) / 1000);
}

/** `0.412 ms`, `12.3 ms`, `1234 ms`. */
export function millis(value: number | null): string {
  if (value === null) return "-";
  return `${value.toFixed(value < 1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

const STATE_STYLES: Readonly<Record<string, Style>> = {
  ESTABLISHED: "green",
  "R2-SENT": "green",
  "E-FAILED": "red",
  UNASSOCIATED: "dim",
};

export function stateStyle(state: string): Style {
  return STATE_STYLES[state] ?? "yellow";
}
