/** The look of the page: light or dark as the reader's system is, and fit for paper. */
import { Markup } from "./html.ts";

export const STYLE = new Markup(`
:root {
  color-scheme: light dark;
  --page: #f4f5f7; --card: #ffffff; --text: #1b1f24; --soft: #57606a; --line: #d4d8dd; --grid: #e8eaed;
  --good: #16703c; --doubtful: #875700; --bad: #b52219; --idle: #59636e; --tx: #0b62c4; --rx: #a8530c; --rtt: #7b3fb5;
  --good-soft: #dcf3e4; --doubtful-soft: #fbefd0; --bad-soft: #fde2df; --idle-soft: #eaecef;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10141a; --card: #191f27; --text: #e4e8ed; --soft: #9aa5b1; --line: #36404c; --grid: #262e38;
    --good: #4cc681; --doubtful: #e0ae45; --bad: #ff7b70; --idle: #8d98a5; --tx: #65a9ff; --rx: #f0a05a; --rtt: #c39bf0;
    --good-soft: #143423; --doubtful-soft: #3a2e10; --bad-soft: #431c19; --idle-soft: #262d36;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main, header { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 28px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 20px 0 6px; } h3 .soft { font-weight: 400; }
p { margin: 0 0 12px; }
.soft, .lead { color: var(--soft); }
.lead { margin-bottom: 16px; }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; padding: 0; margin: 14px 0 0; }
a { color: var(--tx); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--tx); outline-offset: 2px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; background: var(--card); padding: 8px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px; margin: 18px 0; break-inside: avoid-page; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0 4px; padding: 0; }
.facts > div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.facts dt { color: var(--soft); font-size: 13px; }
.facts dd { margin: 0; font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; }
.facts dd small { font-size: 13px; font-weight: 400; color: var(--soft); display: block; }
.pairs { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 0; }
.pairs dt { color: var(--soft); }
.pairs dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: 6px; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; border-bottom-color: var(--line); }
tbody th { font-weight: 600; } tbody th .code { font-weight: 400; color: var(--soft); } tr:last-child > * { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
code, .code { font-family: ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; font-size: 13px; }
.nowrap { white-space: nowrap; }
.badge { display: inline-block; border-radius: 999px; padding: 0 10px; font-size: 13px; font-weight: 600; white-space: nowrap; }
.badge.good { color: var(--good); background: var(--good-soft); }
.badge.doubtful { color: var(--doubtful); background: var(--doubtful-soft); }
.badge.bad { color: var(--bad); background: var(--bad-soft); }
.badge.idle { color: var(--idle); background: var(--idle-soft); }
.key { display: flex; flex-wrap: wrap; gap: 4px 20px; list-style: none; padding: 0; margin: 10px 0 0; color: var(--soft); font-size: 13px; }
.key svg { vertical-align: -2px; margin-right: 6px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 6px 24px; }
svg { display: block; max-width: 100%; height: auto; font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.key svg { display: inline-block; }
svg text { fill: var(--text); }
svg .soft { fill: var(--soft); }
svg .small { font-size: 11.5px; }
svg .strong { font-weight: 600; }
svg .grid { stroke: var(--grid); stroke-width: 1; fill: none; }
svg .axis { stroke: var(--line); stroke-width: 1; fill: none; }
svg .plate { fill: var(--card); }
svg .node { fill: var(--card); stroke-width: 2; }
svg .self { fill: var(--idle-soft); stroke: var(--text); stroke-width: 2; }
svg .edge { fill: none; }
svg .good { stroke: var(--good); } svg .doubtful { stroke: var(--doubtful); } svg .bad { stroke: var(--bad); } svg .idle { stroke: var(--idle); }
svg .fill.good { fill: var(--good); } svg .fill.doubtful { fill: var(--doubtful); } svg .fill.bad { fill: var(--bad); } svg .fill.idle { fill: var(--idle); }
svg .tx { stroke: var(--tx); } svg .rx { stroke: var(--rx); } svg .rtt { stroke: var(--rtt); }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
svg .area { stroke: none; opacity: .16; } svg .area.tx { fill: var(--tx); } svg .area.rx { fill: var(--rx); } svg .area.rtt { fill: var(--rtt); }
details { margin-top: 12px; } summary { cursor: pointer; color: var(--tx); }
footer { max-width: 1180px; margin: 0 auto; padding: 4px 24px 40px; color: var(--soft); font-size: 13px; }
@media print { body { background: #fff; } section { border-color: #bbb; } nav, .skip { display: none; } details > *:not(summary) { display: block; } }
`);
