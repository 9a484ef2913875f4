/** Draws what happened as a sequence diagram in text. */
import type { Record, Trace } from "./trace.ts";

const COLUMN = 26;
const TIME = 11;

/** The last `lines` records, one column for each host. */
export function diagram(trace: Trace, hosts: readonly string[], lines = 120): string {
  const shown = trace.records.filter((record) => record.note !== "sent");
  const head = " ".repeat(TIME) + hosts.map((name) => center(name, COLUMN)).join("");
  const drawn: string[] = [];
  let repeated = 0;
  for (const [i, record] of shown.entries()) {
    if (sameButTime(record, shown[i + 1])) repeated++;
    else {
      drawn.push(line(record, hosts) + (repeated > 0 ? ` (${repeated + 1} times)` : ""));
      repeated = 0;
    }
  }
  return [head, ...drawn.slice(-lines)].join("\n");
}

function sameButTime(a: Record, b: Record | undefined): boolean {
  return b !== undefined && a.from === b.from && a.to === b.to && a.what === b.what && a.note === b.note;
}

function line(record: Record, hosts: readonly string[]): string {
  const time = `${record.at.toFixed(3).padStart(TIME - 2)}  `;
  const from = hosts.indexOf(record.from);
  const to = hosts.indexOf(record.to);
  if (from >= 0 && to >= 0 && from !== to) return time + arrow(record, hosts.length, from, to);
  if (from >= 0 && record.to === "" && record.note !== "remark" && record.note !== "") {
    return `${time}${lanes(hosts.length, from)} ${record.from}: ${record.what} x ${record.note}`;
  }
  if (to >= 0)
    return `${time}${lanes(hosts.length, to)} ${record.from || "?"} -> ${record.to}: ${record.what} (${record.note})`;
  return `${time}${lanes(hosts.length, from)} ${record.from === "" ? "" : `${record.from}: `}${record.what}`;
}

function arrow(record: Record, columns: number, from: number, to: number): string {
  const left = Math.min(from, to);
  const right = Math.max(from, to);
  const width = (right - left) * COLUMN - 1;
  const arrived = record.note === "delivered";
  const label = arrived ? ` ${record.what} ` : ` ${record.what} (${record.note}) `;
  const body = center(label.slice(0, width - 2), width - 1, arrived ? "-" : ".");
  const shaft = to > from ? `${body}${arrived ? ">" : "x"}` : `${arrived ? "<" : "x"}${body}`;
  const middle = Math.floor(COLUMN / 2);
  const before = Array.from({ length: left }, () => center("|", COLUMN)).join("");
  const after = Array.from({ length: columns - right - 1 }, () => center("|", COLUMN)).join("");
  return `${before}${" ".repeat(middle - 1)}|${shaft}|${" ".repeat(COLUMN - middle)}${after}`.trimEnd();
}

function lanes(columns: number, marked: number): string {
  return Array.from({ length: columns }, (_, i) => center(i === marked ? "*" : "|", COLUMN)).join("");
}

function center(text: string, width: number, fill = " "): string {
  const left = Math.max(0, Math.floor((width - text.length) / 2));
  return fill.repeat(left) + text + fill.repeat(Math.max(0, width - text.length - left));
}
