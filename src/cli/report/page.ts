/** The page of `hipctl report`: one file that asks nothing of anybody. It has no script, and its own policy forbids any. */
import { bytes, duration, millis } from "../output.ts";
import { count } from "../top/frame.ts";
import { graphKey, MAX_DRAWN, peerGraph } from "./graph.ts";
import { html, type Markup } from "./html.ts";
import { HEALTH_TEXT, type Health, healthOf, type Report, type Series } from "./model.ts";
import { type Plot, plot, plotKey } from "./plot.ts";
import { STYLE } from "./style.ts";
import {
  agreementTable,
  badge,
  dropTable,
  eventTable,
  ownLocators,
  peerLocators,
  peerTable,
} from "./tables.ts";
import { shownOnTimeLine, timeLine, timeLineKey } from "./timeline.ts";

/** Peers whose throughput is plotted. */
export const MAX_PLOTTED = 12;

/** Nothing is fetched and nothing runs, whatever text got into the page. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-src 'none'";

export function reportPage(report: Report): string {
  const { host } = report.machine;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="hipctl ${report.hipctl}">
<link rel="icon" href="data:,">
<title>hipd on ${host}</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#peers">Skip to the peers</a>
${head(report)}
<main>
${section("peers", "Peers", peers(report))}
${section("throughput", "Throughput and round trip", throughput(report))}
${section("timeline", "Time line", events(report))}
${section("associations", "Associations", associations(report))}
${section("locators", "Locators", locators(report))}
${section("drops", "Drops", drops(report))}
${section("versions", "Versions and settings", versions(report))}
</main>
<footer>Made by hipctl ${report.hipctl} at ${moment(report.madeAt)} UTC. This file holds addresses and names of hosts, but no keys.</footer>
</body>
</html>
`;
  return page.text;
}

function section(id: string, title: string, content: Markup): Markup {
  return html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>${content}</section>`;
}

function head({ machine, status, madeAt, observed }: Report): Markup {
  const { self, version } = status;
  const tx = sum(observed.peers, (peer) => peer.meanTx);
  const rx = sum(observed.peers, (peer) => peer.meanRx);
  const dropped = sum(observed.drops, ({ perSecond }) => perSecond) * observed.seconds;
  const healths = countBy(status.peers.map(healthOf));
  const links = [
    ["peers", "Peers"],
    ["throughput", "Throughput"],
    ["timeline", "Time line"],
    ["associations", "Associations"],
    ["locators", "Locators"],
    ["drops", "Drops"],
    ["versions", "Versions"],
  ] as const;
  return html`<header>
<h1>hipd on ${machine.host} ${verdict(healths)}</h1>
<p class="soft">${moment(madeAt)} UTC, watched for ${observed.seconds.toFixed(0)} s. HIT <span class="code">${self.hit}</span>, LSI <span class="code">${self.lsi}</span></p>
<nav aria-label="Parts of this page"><ul>${links.map(([id, text]) => html`<li><a href="#${id}">${text}</a></li>`)}</ul></nav>
<dl class="facts">
${fact("Peers connected", `${(healths.good ?? 0) + (healths.doubtful ?? 0)} of ${status.peers.length}`, detail(healths))}
${fact("Sent", `${bytes(tx)}/s`, "to all peers, on average")}
${fact("Received", `${bytes(rx)}/s`, "from all peers, on average")}
${fact("Dropped", count(Math.round(dropped)), `packets in ${observed.seconds.toFixed(0)} s`)}
${fact("Up", duration(status.uptimeSeconds), `hipd ${version}`)}
</dl>
</header>`;
}

function fact(name: string, value: string, remark: string): Markup {
  return html`<div><dt>${name}</dt><dd>${value}<small>${remark}</small></dd></div>`;
}

type Healths = Readonly<Partial<Record<Health, number>>>;

function verdict(healths: Healths): Markup {
  if ((healths.bad ?? 0) > 0) return badge("bad", `${healths.bad} not reachable`);
  if ((healths.doubtful ?? 0) > 0) return badge("doubtful", `${healths.doubtful} doubtful`);
  return (healths.good ?? 0) > 0 ? badge("good", "all well") : badge("idle", "nobody connected");
}

function detail(healths: Healths): string {
  const parts = (["doubtful", "bad", "idle"] as const).flatMap((health) => {
    const n = healths[health];
    return n === undefined ? [] : [`${n} ${HEALTH_TEXT[health]}`];
  });
  return parts.length === 0 ? "all that are configured" : parts.join(", ");
}

function peers({ machine, status, observed }: Report): Markup {
  if (status.peers.length === 0) {
    return html`<p class="soft">No peers are configured. Add one: <span class="code">hipctl peer add NAME --hit HIT --locator ADDRESS</span></p>`;
  }
  const more = status.peers.length - MAX_DRAWN;
  return html`<p class="lead">Each line is the path that packets take: its round trip, and what went along it while this host was watched.${more > 0 && ` ${more} more peers are not drawn; the table has them all.`}</p>
<div class="scroll">${peerGraph(machine.host, status.peers, observed.peers)}</div>${graphKey()}`;
}

const PLOT = { width: 540, height: 118 };

function throughput({ observed }: Report): Markup {
  const busy = observed.peers.filter(
    (peer) => peer.meanTx + peer.meanRx > 0 || peer.rtt.some((value) => value !== null),
  );
  if (observed.at.length === 0 || busy.length === 0) {
    return html`<p class="soft">Nothing went to or came from any peer while this host was watched.</p>`;
  }
  const shown = busy.slice(0, MAX_PLOTTED);
  const more = busy.length - shown.length;
  return html`<p class="lead">${observed.seconds.toFixed(0)} seconds, the busiest peers first; every scale is its own.${more > 0 && ` ${more} more had less traffic.`}</p>
${plotKey([
  { name: "sent", kind: "tx" },
  { name: "received", kind: "rx" },
  { name: "round trip", kind: "rtt" },
])}
${shown.map((peer) => peerPlots(peer, observed.at))}`;
}

function peerPlots(peer: Series, at: readonly number[]): Markup {
  const loss = peer.loss.findLast((value) => value !== null);
  const rtts = peer.rtt.filter((value) => value !== null);
  const rate: Plot = {
    ...PLOT,
    at,
    title: `Throughput of ${peer.name}: sent ${bytes(peer.meanTx)}/s, received ${bytes(peer.meanRx)}/s on average`,
    lines: [
      { name: "sent", kind: "tx", values: peer.tx },
      { name: "received", kind: "rx", values: peer.rx },
    ],
    unit: (value) => `${bytes(value)}/s`,
    least: 1024,
    base: 1024,
  };
  const trip: Plot = {
    ...PLOT,
    at,
    title: `Round trip of ${peer.name}${rtts.length === 0 ? "" : `: ${millis(Math.min(...rtts))} to ${millis(Math.max(...rtts))}`}`,
    lines: [{ name: "round trip", kind: "rtt", values: peer.rtt }],
    unit: (value) => `${value < 10 ? Number(value.toFixed(2)) : value.toFixed(0)} ms`,
    least: 0.1,
  };
  return html`<h3>${peer.name} <span class="soft">sent ${bytes(peer.meanTx)}/s, received ${bytes(peer.meanRx)}/s${loss !== undefined && `, loss ${(100 * (loss ?? 0)).toFixed(1)} %`}</span></h3>
<div class="plots">${plot(rate)}${plot(trip)}</div>`;
}

function events({ events: all, madeAt }: Report): Markup {
  const shown = all.filter(shownOnTimeLine);
  const line = timeLine(all, madeAt);
  return html`${
    line === undefined
      ? html`<p class="soft">hipd remembers no associations, handovers or failures.</p>`
      : html`<p class="lead">Associations, handovers and failures that hipd remembers, ${shown.length} in all. Rest on a sign to read it.</p><div class="scroll">${line}</div>${timeLineKey(shown)}`
  }<details><summary>All ${all.length} events</summary>${eventTable(all)}</details>`;
}

function associations({ status, associations: all, madeAt }: Report): Markup {
  const agreed = html`<details><summary>Suites, keys and SPIs</summary>${agreementTable(all)}</details>`;
  return html`${peerTable(status.peers, all, Date.parse(madeAt))}${all.length > 0 && agreed}`;
}

function locators({ locators: { own, peers: theirs }, madeAt }: Report): Markup {
  return html`${ownLocators(own, Date.parse(madeAt))}<br />${peerLocators(theirs, Date.parse(madeAt))}`;
}

function drops({ observed }: Report): Markup {
  if (observed.drops.length === 0) return html`<p class="soft">No packet was dropped since hipd started.</p>`;
  return dropTable(observed.drops, observed.seconds);
}

function versions({ status, machine, hipctl }: Report): Markup {
  const { self } = status;
  const identities = self.identities.map(
    ({ name, algorithm, hit, default: first }) => `${name}${first ? " (default)" : ""}: ${algorithm}, ${hit}`,
  );
  const pairs: readonly (readonly [string, string])[] = [
    ["hipd", `${status.version}, since ${moment(status.startedAt)} UTC`],
    ["hipctl", hipctl],
    ["system", `${machine.os}, Linux ${machine.kernel}`],
    ["hardware", `${machine.processors} processors, ${bytes(machine.memoryBytes)} of memory`],
    ["interface", self.interface],
    ["UDP port", String(self.port)],
    ["LSI prefix", self.lsiPrefix],
    ["addresses", self.addresses.join(", ") || "none"],
    ["identities", identities.join("; ")],
  ];
  return html`<dl class="pairs">${pairs.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

function moment(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 19)}`;
}

function sum<T>(list: readonly T[], pick: (one: T) => number): number {
  return list.reduce((total, one) => total + pick(one), 0);
}

function countBy(list: readonly Health[]): Healths {
  const counts: Partial<Record<Health, number>> = {};
  for (const one of list) counts[one] = (counts[one] ?? 0) + 1;
  return counts;
}
