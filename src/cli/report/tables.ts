/** The tables of the page: peers and their associations, locators of both sides, drops with what to do, events. */
import type { OverlayEvent } from "../../overlay/control.ts";
import type { OwnLocatorView, PeerLocatorsView } from "../../overlay/locator-views.ts";
import { DROPS } from "../../runtime/catalogue/drops.ts";
import { ago, bytes, millis } from "../output.ts";
import type { DropRate } from "../sampling.ts";
import { type AssociationDetails, type PeerView, percent } from "../views.ts";
import { html, type Markup, type Value } from "./html.ts";
import { HEALTH_SIGN, HEALTH_TEXT, type Health, healthOf } from "./model.ts";
import { detailText } from "./timeline.ts";

/** Rows of long tables; what is left out is counted. */
export const MAX_ROWS = 500;

interface Heading {
  readonly title: string;
  readonly number?: boolean;
}

/** Wide tables scroll by themselves; the keyboard reaches them, too. */
function grid(caption: string, headings: readonly Heading[], rows: readonly (readonly Value[])[]): Markup {
  const shown = rows.slice(0, MAX_ROWS);
  const more = rows.length - shown.length;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table><caption>${caption}</caption>
<thead><tr>${headings.map(({ title, number }) => html`<th scope="col" class="${number ? "number" : ""}">${title}</th>`)}</tr></thead>
<tbody>${shown.map(
    (cells) =>
      html`<tr>${cells.map((cell, i) =>
        i === 0
          ? html`<th scope="row">${cell}</th>`
          : html`<td class="${headings[i]?.number ? "number" : ""}">${blank(cell)}</td>`,
      )}</tr>
`,
  )}</tbody></table>${more > 0 && html`<p class="soft">and ${more} more</p>`}</div>`;
}

function blank(cell: Value): Value {
  return cell === "" || cell === null || cell === undefined ? html`<span class="soft">–</span>` : cell;
}

/** `1 peer`, `2 peers` */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

export function badge(health: Health, text: string = HEALTH_TEXT[health]): Markup {
  return html`<span class="badge ${health}">${HEALTH_SIGN[health]} ${text}</span>`;
}

const code = (text: string | null): Markup | undefined =>
  text === null || text === "" ? undefined : html`<span class="code nowrap">${text}</span>`;

export function peerTable(
  peers: readonly PeerView[],
  associations: readonly AssociationDetails[],
  now: number,
): Markup {
  const byName = new Map(associations.map((each) => [each.name, each]));
  const headings = [
    { title: "Peer" },
    { title: "State" },
    { title: "Path" },
    { title: "Round trip", number: true },
    { title: "Loss", number: true },
    { title: "Sent", number: true },
    { title: "Received", number: true },
    { title: "Handovers", number: true },
    { title: "For", number: true },
  ];
  const rows = peers.map((peer) => [
    html`${peer.name}<br />${code(peer.hit)}<br />${code(peer.lsi)}`,
    html`${badge(healthOf(peer), peer.state)}${peer.lastError !== null && html`<br /><span class="soft">${peer.lastError} (${ago(peer.lastErrorAt, now)} ago)</span>`}`,
    peer.path === null ? "" : html`${code(peer.path.local)}<br />${code(`> ${peer.path.remote}`)}`,
    peer.rttMillis === null ? "" : millis(peer.rttMillis),
    percent(peer.loss),
    bytes(peer.txBytes),
    bytes(peer.rxBytes),
    peer.handovers,
    ago(byName.get(peer.name)?.since ?? null, now),
  ]);
  const caption = `${counted(peers.length, "peer")}; byte counts are those of the present association`;
  return grid(caption, headings, rows);
}

/** What the exchanges agreed on. */
export function agreementTable(associations: readonly AssociationDetails[]): Markup {
  const headings = [
    { title: "Peer" },
    { title: "Role" },
    { title: "ESP suite" },
    { title: "HIP cipher" },
    { title: "Diffie-Hellman" },
    { title: "SPI in" },
    { title: "SPI out" },
    { title: "MTU", number: true },
    { title: "Exchange", number: true },
    { title: "Our identity" },
    { title: "Its domain" },
  ];
  const rows = associations.map((each) => [
    each.name,
    each.role === "none" ? "" : each.role,
    each.suite ?? "",
    each.hipCipher ?? "",
    each.dhGroup ?? "",
    code(each.inSpi),
    code(each.outSpi),
    each.pathMtu ?? "",
    each.exchangeMillis === null ? "" : millis(each.exchangeMillis),
    code(each.identity),
    each.peerDomain ?? "",
  ]);
  return grid("What peers agreed on", headings, rows);
}

export function ownLocators(own: readonly OwnLocatorView[], now: number): Markup {
  const headings = [
    { title: "Address" },
    { title: "Offered to peers" },
    { title: "Source" },
    { title: "Interface" },
    { title: "Age", number: true },
    { title: "Round trip", number: true },
    { title: "Remark" },
  ];
  const rows = own.map((each) => [
    code(each.address),
    each.state === "offered"
      ? badge("good", each.preferred ? "preferred" : "offered")
      : badge("idle", "left out"),
    each.source,
    each.interface ?? "",
    ago(each.since, now),
    each.rttMillis === null ? "" : millis(each.rttMillis),
    each.reason ?? "",
  ]);
  return grid("Where this host is", headings, rows);
}

const LOCATOR_HEALTH: Readonly<Record<string, Health>> = {
  ACTIVE: "good",
  UNVERIFIED: "doubtful",
  DEPRECATED: "bad",
};

export function peerLocators(peers: readonly PeerLocatorsView[], now: number): Markup {
  const headings = [
    { title: "Peer" },
    { title: "Address" },
    { title: "State" },
    { title: "In use" },
    { title: "Source" },
    { title: "Age", number: true },
    { title: "Round trip", number: true },
    { title: "Loss", number: true },
    { title: "MTU", number: true },
  ];
  const rows = peers.flatMap(({ name, locators }) =>
    locators.map((each) => [
      name,
      code(each.address),
      badge(LOCATOR_HEALTH[each.state] ?? "idle", each.state),
      each.inUse ? "yes" : "",
      `${each.source}${each.preferred ? ", preferred" : ""}`,
      ago(each.since, now),
      each.rttMillis === null ? "" : millis(each.rttMillis),
      percent(each.loss),
      each.mtu ?? "",
    ]),
  );
  return grid("Where peers are", headings, rows);
}

export function dropTable(drops: readonly DropRate[], seconds: number): Markup {
  const headings = [
    { title: "Reason" },
    { title: "Look at it?" },
    { title: "While watched", number: true },
    { title: "Since the start", number: true },
    { title: "What it means, and what to do" },
  ];
  const sorted = [...drops].sort(
    (a, b) =>
      Number(b.concern === "look") - Number(a.concern === "look") ||
      b.perSecond - a.perSecond ||
      b.total - a.total,
  );
  const rows = sorted.map(({ layer, reason, concern, perSecond, total }) => {
    const known = DROPS.find((row) => row.layer === layer && row.reason === reason);
    return [
      code(reason),
      concern === "look"
        ? badge(perSecond > 0 ? "doubtful" : "idle", "when it grows")
        : badge("idle", "no, normal"),
      Math.round(perSecond * seconds),
      total,
      known === undefined ? "" : html`${known.meaning}<br /><span class="soft">${known.remedy}</span>`,
    ];
  });
  return grid("Packets that were dropped, by reason", headings, rows);
}

export function eventTable(events: readonly OverlayEvent[]): Markup {
  const headings = [{ title: "Time (UTC)" }, { title: "Event" }, { title: "Peer" }, { title: "Details" }];
  const rows = [...events]
    .reverse()
    .map((event) => [
      html`<span class="nowrap">${event.time.slice(0, 10)} ${event.time.slice(11, 23)}</span>`,
      html`<span class="nowrap">${event.name}</span>`,
      event.peer ?? event.hit ?? "",
      detailText(event),
    ]);
  return grid("What hipd remembers, newest first", headings, rows);
}
