/** What happened to whom and when: a lane for each peer, a sign for each event. */
import type { OverlayEvent } from "../../overlay/control.ts";
import { readableDetail } from "../../runtime/event-detail.ts";
import { shorten } from "./graph.ts";
import { html, type Markup } from "./html.ts";
import type { Health } from "./model.ts";

/** Lanes and signs that are drawn; the table below has all events. */
export const MAX_LANES = 20;
export const MAX_SIGNS = 1_000;

const WIDTH = 1120;
const LEFT = 190;
const RIGHT = 24;
const LANE = 30;
const TOP = 12;

type Shape = "circle" | "diamond" | "cross" | "square" | "tick";
interface Sign {
  readonly shape: Shape;
  readonly health: Health;
  readonly text: string;
}

/** The events that the time line shows, by name. */
export const SIGNS: Readonly<Record<string, Sign>> = {
  "association-established": { shape: "circle", health: "good", text: "association made" },
  handover: { shape: "diamond", health: "good", text: "handover" },
  "handover-failed": { shape: "diamond", health: "bad", text: "handover failed" },
  "path-dead": { shape: "cross", health: "doubtful", text: "path dead" },
  "association-failed": { shape: "cross", health: "bad", text: "exchange failed" },
  "clone-detected": { shape: "square", health: "bad", text: "clone" },
  "association-closed": { shape: "square", health: "idle", text: "closed" },
  "association-rekeyed": { shape: "tick", health: "idle", text: "new keys" },
};

export function shownOnTimeLine({ name, peer, hit }: OverlayEvent): boolean {
  return Object.hasOwn(SIGNS, name) && (peer ?? hit) !== null;
}

/** From the first of these events to `until`; undefined when there is nothing to show. */
export function timeLine(events: readonly OverlayEvent[], until: string): Markup | undefined {
  const shown = events.filter(shownOnTimeLine).slice(-MAX_SIGNS);
  const first = shown[0];
  if (first === undefined) return undefined;
  const lanes = lanesOf(shown);
  const begin = Date.parse(first.time);
  const to = Math.max(Date.parse(until), begin + 1_000);
  // The first sign does not stand on the edge.
  const from = begin - 0.02 * (to - begin);
  const height = TOP + LANE * lanes.length + 34;
  const x = (time: string): number =>
    LEFT + ((Date.parse(time) - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const bottom = TOP + LANE * lanes.length;
  const title = `${shown.length} events of ${lanes.length} peers since ${clock(first.time)} UTC`;
  return html`<svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${title}"><title>${title}</title>
${ticks(from, to).map(
  (at) =>
    html`<line class="grid" x1="${x(iso(at))}" x2="${x(iso(at))}" y1="${TOP}" y2="${bottom}" /><text class="soft small" x="${x(iso(at))}" y="${bottom + 18}" text-anchor="middle">${tickText(at, to - from)}</text>`,
)}
${lanes.map(({ name, events: own }, i) => {
  const y = TOP + LANE * i + LANE / 2;
  return html`<g><line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" /><text x="${LEFT - 12}" y="${y + 4}" text-anchor="end">${shorten(name)}</text>${[...own].sort(byWeight).map((event) => sign(event, x(event.time), y))}</g>`;
})}
</svg>`;
}

interface Lane {
  readonly name: string;
  readonly events: readonly OverlayEvent[];
}

/** The peers to whom most happened, in the order of their names. */
function lanesOf(events: readonly OverlayEvent[]): readonly Lane[] {
  const byPeer = new Map<string, OverlayEvent[]>();
  for (const event of events) {
    const name = event.peer ?? event.hit ?? "";
    const lane = byPeer.get(name);
    if (lane === undefined) byPeer.set(name, [event]);
    else lane.push(event);
  }
  return [...byPeer]
    .map(([name, own]) => ({ name, events: own }))
    .sort((a, b) => b.events.length - a.events.length)
    .slice(0, MAX_LANES)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

const WEIGHT: Readonly<Record<Health, number>> = { idle: 0, good: 1, doubtful: 2, bad: 3 };

/** What went wrong is drawn last: above what happened in the same moment. */
function byWeight(a: OverlayEvent, b: OverlayEvent): number {
  const of = ({ name }: OverlayEvent): number => WEIGHT[(SIGNS[name] as Sign).health];
  return of(a) - of(b);
}

function sign(event: OverlayEvent, x: number, y: number): Markup {
  const { shape, health, text } = SIGNS[event.name] as Sign;
  const details = detailText(event);
  const title = `${clock(event.time)} ${text}${details === "" ? "" : `: ${details}`}`;
  return html`<g><title>${title}</title>${figure(shape, health, x, y)}</g>`;
}

function figure(shape: Shape, health: Health, x: number, y: number): Markup {
  switch (shape) {
    case "circle":
      return html`<circle class="fill ${health}" stroke="none" cx="${x}" cy="${y}" r="5.5" />`;
    case "diamond":
      return html`<path class="fill ${health}" stroke="none" d="M${x} ${y - 8}L${x + 8} ${y}L${x} ${y + 8}L${x - 8} ${y}Z" />`;
    case "cross":
      return html`<path class="edge ${health}" stroke-width="3" d="M${x - 5} ${y - 5}L${x + 5} ${y + 5}M${x - 5} ${y + 5}L${x + 5} ${y - 5}" />`;
    case "square":
      return html`<rect class="fill ${health}" stroke="none" x="${x - 5}" y="${y - 5}" width="10" height="10" />`;
    case "tick":
      return html`<path class="edge ${health}" stroke-width="2" d="M${x} ${y - 6}V${y + 6}" />`;
  }
}

/** `reason path-dead, millis 12.5` */
export function detailText(event: OverlayEvent): string {
  return Object.entries(readableDetail(event.detail))
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

/** What the signs mean, of those that occur. */
export function timeLineKey(events: readonly OverlayEvent[]): Markup {
  const names = Object.keys(SIGNS).filter((name) => events.some((event) => event.name === name));
  return html`<ul class="key">${names.map((name) => {
    const { shape, health, text } = SIGNS[name] as Sign;
    return html`<li><svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">${figure(shape, health, 9, 9)}</svg>${text}</li>`;
  })}</ul>`;
}

const STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
];

/** Round moments of the clock, about eight. */
function ticks(from: number, to: number): readonly number[] {
  const wanted = (to - from) / 1000 / 8;
  const step = 1000 * (STEPS.find((one) => one >= wanted) ?? Math.ceil(wanted / 86_400) * 86_400);
  const all: number[] = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) all.push(at);
  return all;
}

function tickText(at: number, span: number): string {
  const text = iso(at);
  if (span > 2 * 86_400_000) return text.slice(5, 10);
  return span > 3_600_000 ? text.slice(11, 16) : text.slice(11, 19);
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

/** `12:34:56.789` */
export function clock(time: string): string {
  return time.slice(11, 23);
}
