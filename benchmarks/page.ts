/** One page of HTML with everything in it: machine, versions, noise, tables and plots. Nothing is fetched. */
import { busyText, isBusy } from "./machine.ts";
import { bars, distributions, escaped, overTime } from "./plot.ts";
import { columns, type Report } from "./report.ts";
import type { Row, Table } from "./suite.ts";

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; color: #1c2329; max-width: 860px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin: 2.2em 0 .4em } svg { width: 100%; height: auto; margin: .6em 0 }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
td, th { padding: .15em .7em .15em 0; text-align: right; border-bottom: 1px solid #e2e6e9; white-space: nowrap }
td:first-child, th:first-child { text-align: left } .ours td { color: #0b4f8a; font-weight: 600 }
.noisy { background: #fff3cd; padding: .3em .6em; border-radius: 3px } .note { color: #555; font-size: 13px; margin: .3em 0 }
summary { cursor: pointer; color: #555 }`;

export function page(report: Report): string {
  const { machine, options, versions } = report;
  const about = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel} (${machine.arch})`,
    `Node.js ${machine.node}, OpenSSL ${machine.openssl}`,
    `${report.when}, ${options.rounds} rounds of ${options.seconds} s for each contestant, in turns`,
    `load of the machine before ${report.load.before.toFixed(2)}, after ${report.load.after.toFixed(2)}`,
  ];
  const busy = isBusy(report.load.before, machine.cores) ? [busyText(report.load.before)] : [];
  const noisy = report.tables.flatMap((table) => table.notes).filter((note) => note.startsWith("noisy"));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hipd benchmarks</title><style>${STYLE}</style></head><body>
<h1>hipd benchmarks</h1>
${about.map((line) => `<p class="note">${escaped(line)}</p>`).join("\n")}
${busy.map((line) => `<p class="noisy">${escaped(line)}</p>`).join("")}
${noisy.length > 0 ? `<p class="noisy">Some of what follows is noisy: ${noisy.length} remarks below. Only ratios within a round mean much then.</p>` : ""}
<p class="note">Bars are medians over the rounds, thin lines go from the lowest to the highest round. Ratios are medians of the ratios within each round.</p>
<details><summary>Contestants and versions</summary><table>${Object.entries(versions)
    .map(([name, version]) => `<tr><td>${escaped(name)}</td><td>${escaped(version)}</td></tr>`)
    .join(
      "",
    )}</table>${report.skipped.map((line) => `<p class="note">${escaped(line)}</p>`).join("")}</details>
${report.tables.map(section).join("\n")}
</body></html>
`;
}

function section(table: Table): string {
  const { head, lines } = columns(table);
  const header = ["", ...head].map((cell) => `<th>${escaped(cell)}</th>`).join("");
  const body = lines.map((line, i) => {
    const row = table.rows[i] as Row;
    const cells = [row.contestant, ...line].map((cell) => `<td>${escaped(cell)}</td>`).join("");
    return `<tr${row.contestant.startsWith("hipd") ? ' class="ours"' : ""} title="${escaped(row.what)}">${cells}</tr>`;
  });
  const notes = table.notes.map(
    (note) => `<p class="${note.startsWith("noisy") ? "noisy" : "note"}">${escaped(note)}</p>`,
  );
  const better = table.better === "lower" ? "less is better" : "more is better";
  return `<h2>${escaped(table.title)}</h2><p class="note">${escaped(table.unit)}; ${better}</p>${notes.join("")}
${bars(table)}
${overTime(table) ?? ""}
${distributions(table) ?? ""}
<table><tr>${header}</tr>${body.join("")}</table>`;
}
