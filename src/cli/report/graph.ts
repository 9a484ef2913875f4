/** This host in the middle, its peers around it: an edge is a path, with its state, its round trip and how much goes along it. */
import { bytes, millis } from "../output.ts";
import type { PeerView } from "../views.ts";
import { html, type Markup } from "./html.ts";
import { HEALTH_SIGN, HEALTH_TEXT, type Health, healthOf, type Series } from "./model.ts";

/** Peers that are drawn; more would be a ball of wool. */
export const MAX_DRAWN = 24;

const WIDTH = 1120;
/** So many stand on one ellipse without touching. */
const ONE_RING = 11;
/** Of columns: their middles from the edge, and half the distance of two boxes in one. */
const OUTER = 116;
const INNER = 338;
const HALF_ROW = 46;
const DASHES: Readonly<Record<Health, string>> = { good: "", doubtful: "8 5", bad: "2 6", idle: "2 6" };
const LONGEST_NAME = 22;
const LONGEST_PLACE = 26;

interface Place {
  readonly peer: PeerView;
  readonly x: number;
  readonly y: number;
}

/** `series` says how much goes to whom. Busy peers, then troubled ones, are drawn first when not all can be. */
export function peerGraph(host: string, peers: readonly PeerView[], series: readonly Series[]): Markup {
  const rate = new Map(series.map((one) => [one.name, one.meanTx + one.meanRx]));
  const drawn = chosen(peers, rate);
  const height = heightFor(drawn.length);
  // One peer alone stands beside this host.
  const centre = { x: drawn.length === 1 ? WIDTH / 4 : WIDTH / 2, y: height / 2 };
  const places = drawn.map((peer, i): Place => ({ peer, ...placeOf(i, drawn.length, centre, height) }));
  const most = Math.max(1, ...rate.values());
  // Between columns there is no room on the edges.
  const crowded = drawn.length > ONE_RING;
  const said = (peer: PeerView): string => figures(peer, rate.get(peer.name) ?? 0);
  const good = peers.filter((peer) => healthOf(peer) === "good").length;
  const title = `${host} and ${peers.length} peer${peers.length === 1 ? "" : "s"}, ${good} of them connected`;
  return html`<svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="graph-title">
<title id="graph-title">${title}</title>
${places.map((place) => edge(centre, place, (rate.get(place.peer.name) ?? 0) / most))}
${crowded ? undefined : places.map((place) => label(centre, place, said(place.peer)))}
${places.map((place) => node(place, crowded ? said(place.peer) : ""))}
${self(centre, host)}
</svg>`;
}

function chosen(peers: readonly PeerView[], rate: ReadonlyMap<string, number>): readonly PeerView[] {
  if (peers.length <= MAX_DRAWN) return peers;
  const weight: Readonly<Record<Health, number>> = { bad: 3, doubtful: 2, good: 1, idle: 0 };
  return [...peers]
    .sort(
      (a, b) =>
        (rate.get(b.name) ?? 0) - (rate.get(a.name) ?? 0) || weight[healthOf(b)] - weight[healthOf(a)],
    )
    .slice(0, MAX_DRAWN);
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Few stand on an ellipse, begun at the top; many in columns at both sides, the inner ones in the gaps of the outer ones. */
function placeOf(i: number, of: number, centre: Point, height: number): Point {
  if (of > ONE_RING) {
    const [left, row] = [i % 2 === 0, Math.floor(i / 2)];
    const x = row % 2 === 0 ? OUTER : INNER;
    return { x: left ? x : WIDTH - x, y: 52 + row * HALF_ROW };
  }
  if (of === 1) return { x: (3 * WIDTH) / 4, y: centre.y };
  const begin = of === 2 ? 0 : -Math.PI / 2 + (of % 2 === 0 ? Math.PI / of : 0);
  const angle = begin + (2 * Math.PI * i) / of;
  return {
    x: centre.x + (WIDTH / 2 - 130) * Math.cos(angle),
    y: centre.y + (height / 2 - 62) * Math.sin(angle),
  };
}

function heightFor(count: number): number {
  if (count > ONE_RING) return 104 + HALF_ROW * (Math.ceil(count / 2) - 1);
  if (count <= 2) return 140;
  return count <= 4 ? 340 : 460;
}

function edge(centre: Point, { peer, x, y }: Place, share: number): Markup {
  const health = healthOf(peer);
  const width = health === "good" || health === "doubtful" ? 1.5 + 5 * Math.sqrt(share) : 1.5;
  return html`<line class="edge ${health}" x1="${centre.x}" y1="${centre.y}" x2="${x}" y2="${y}" stroke-width="${width}" stroke-dasharray="${DASHES[health]}"><title>${describe(peer)}</title></line>`;
}

/** What a pointer that rests on it, or a reader of the page, is told. */
export function describe(peer: PeerView): string {
  const { name, state, path, rttMillis, loss, lastError } = peer;
  return [
    `${name}: ${state}`,
    ...(path === null ? [] : [`${path.carrier === "udp" ? "udp" : "ip"} ${path.local} > ${path.remote}`]),
    ...(rttMillis === null ? [] : [`round trip ${millis(rttMillis)}`]),
    ...(loss === null ? [] : [`loss ${(100 * loss).toFixed(1)} %`]),
    ...(lastError === null ? [] : [`last error: ${lastError}`]),
  ].join(", ");
}

/** Round trip and throughput; "" when neither is known. */
function figures(peer: PeerView, rate: number): string {
  if (peer.path === null) return "";
  const parts = [
    ...(peer.rttMillis === null ? [] : [millis(peer.rttMillis)]),
    ...(rate < 1 ? [] : [`${bytes(rate)}/s`]),
  ];
  return parts.join(", ");
}

/** On a plate over the edge. */
function label(centre: Point, { x, y }: Point, text: string): Markup | undefined {
  if (text === "") return undefined;
  const [cx, cy] = [centre.x + 0.56 * (x - centre.x), centre.y + 0.56 * (y - centre.y)];
  const width = 7 * text.length + 10;
  return html`<g><rect class="plate" x="${cx - width / 2}" y="${cy - 10}" width="${width}" height="20" rx="4" /><text class="small" x="${cx}" y="${cy + 4}" text-anchor="middle">${text}</text></g>`;
}

/** `second` stands under the name: where it is, unless there is something better to say. */
function node({ peer, x, y }: Place, second: string): Markup {
  const health = healthOf(peer);
  const shown = shorten(peer.name);
  const where = shorten(second || (peer.path?.remote ?? peer.locators[0] ?? "no locator"), LONGEST_PLACE);
  const width = Math.max(116, 8.2 * Math.max(shown.length + 2, 0.86 * where.length) + 18);
  return html`<g><title>${describe(peer)}</title><rect class="node ${health}" x="${x - width / 2}" y="${y - 24}" width="${width}" height="48" rx="9" /><text class="strong" x="${x}" y="${y - 4}" text-anchor="middle"><tspan class="fill ${health}" stroke="none">${HEALTH_SIGN[health]}</tspan> ${shown}</text><text class="soft small" x="${x}" y="${y + 14}" text-anchor="middle">${where}</text></g>`;
}

function self({ x, y }: Point, host: string): Markup {
  const shown = shorten(host);
  const width = Math.max(130, 9 * shown.length + 28);
  return html`<g><rect class="self" x="${x - width / 2}" y="${y - 26}" width="${width}" height="52" rx="26" /><text class="strong" x="${x}" y="${y - 2}" text-anchor="middle">${shown}</text><text class="soft small" x="${x}" y="${y + 15}" text-anchor="middle">this host</text></g>`;
}

export function shorten(name: string, most = LONGEST_NAME): string {
  return name.length <= most ? name : `${name.slice(0, most - 1)}…`;
}

/** What lines and signs of the graph mean. */
export function graphKey(): Markup {
  const all: readonly Health[] = ["good", "doubtful", "bad", "idle"];
  return html`<ul class="key">${all.map(
    (health) =>
      html`<li><svg width="34" height="10" viewBox="0 0 34 10" aria-hidden="true"><line class="edge ${health}" x1="1" y1="5" x2="33" y2="5" stroke-width="2.5" stroke-dasharray="${DASHES[health]}" /></svg>${HEALTH_SIGN[health]} ${HEALTH_TEXT[health]}</li>`,
  )}<li>a wide line: much traffic while this report was made</li></ul>`;
}
