/** One frame of `hipctl top` as text: the host in two lines, then its peers. */
import { bytes, type Column, duration, millis, stateStyle, styled, table } from "../output.ts";
import type { Frame, PeerRates } from "../sampling.ts";
import { pathText, percent } from "../views.ts";

export const SORTS = {
  t: { name: "traffic", compare: byTraffic },
  n: { name: "name", compare: byName },
  r: { name: "RTT", compare: most((peer) => peer.rttMillis) },
  l: { name: "loss", compare: most((peer) => peer.loss) },
  m: { name: "moves", compare: most((peer) => peer.handovers) },
  s: { name: "state", compare: byState },
} as const;

export type Sort = keyof typeof SORTS;

export interface Look {
  readonly sort: Sort;
  /** Seconds between two frames as asked for. */
  readonly interval: number;
  readonly paused: boolean;
  readonly color: boolean;
  /** Of the terminal; undefined: there is none, and everything is shown. */
  readonly size: { readonly columns: number; readonly rows: number } | undefined;
}

/** A narrow terminal has room for so much of a name. */
const NARROW = 100;
const NARROW_NAME = 20;
const SHOWN_DROPS = 3;

export function isSort(key: string): key is Sort {
  return Object.hasOwn(SORTS, key);
}

/** The lines of a frame; on a terminal no more than fit, with the keys at the end. */
export function frameLines(frame: Frame, look: Look): readonly string[] {
  const { size, color } = look;
  const peers = [...frame.peers].sort(SORTS[look.sort].compare);
  const head = headLines(frame, look);
  if (size === undefined) return [...head, ...tableLines(peers, look)];
  const room = Math.max(1, size.rows - head.length - 2);
  const hidden = peers.length - room;
  const shown = hidden > 0 ? peers.slice(0, Math.max(1, room - 1)) : peers;
  const more = hidden > 0 ? [styled(`... and ${peers.length - shown.length} more`, "dim", color)] : [];
  const keys = Object.entries(SORTS).map(([key, { name }]) => `${key} ${name}`);
  const help = `q quit  space ${look.paused ? "go on" : "pause"}  sort: ${keys.join("  ")}`;
  const body = [...head, ...tableLines(shown, look), ...more];
  const gap = new Array<string>(Math.max(0, size.rows - body.length - 1)).fill("");
  return [...body, ...gap, styled(help.slice(0, size.columns), "dim", color)];
}

function headLines(frame: Frame, look: Look): readonly string[] {
  const { total, peers } = frame;
  const usable = peers.filter(isUsable).length;
  const first = [
    `hipd ${frame.version}, up ${duration(frame.uptimeSeconds)}`,
    `${usable} of ${peers.length} peer${peers.length === 1 ? "" : "s"} connected`,
    `${frame.time.slice(11, 19)} UTC, every ${look.interval} s${look.paused ? ", paused" : ""}`,
  ];
  const second = [
    `sent ${bytes(total.txBytesPerSecond)}/s in ${count(total.txPacketsPerSecond)} packets/s`,
    `received ${bytes(total.rxBytesPerSecond)}/s in ${count(total.rxPacketsPerSecond)} packets/s`,
  ];
  return [styled(first.join("   "), "bold", look.color), second.join("   "), dropsLine(frame, look), ""];
}

function dropsLine(frame: Frame, look: Look): string {
  const now = frame.drops.filter(({ perSecond }) => perSecond > 0).sort((a, b) => b.perSecond - a.perSecond);
  if (now.length === 0) return styled("no drops", "dim", look.color);
  const shown = now.slice(0, SHOWN_DROPS).map(({ reason, perSecond }) => `${reason} ${count(perSecond)}`);
  const more = now.length > SHOWN_DROPS ? `, ${now.length - SHOWN_DROPS} more` : "";
  const style = now.some(({ concern }) => concern === "look") ? "yellow" : undefined;
  return styled(
    `drops ${count(frame.total.dropsPerSecond)}/s: ${shown.join(", ")}${more}`,
    style,
    look.color,
  );
}

function tableLines(peers: readonly PeerRates[], { color, size }: Look): readonly string[] {
  const narrow = size !== undefined && size.columns < NARROW;
  const name = (peer: PeerRates): string =>
    narrow && peer.name.length > NARROW_NAME ? `${peer.name.slice(0, NARROW_NAME - 1)}…` : peer.name;
  return table(peers, columns(name), color, size?.columns).trimEnd().split("\n");
}

function columns(name: (peer: PeerRates) => string): readonly Column<PeerRates>[] {
  return [
    { title: "PEER", value: name },
    { title: "STATE", value: (peer) => peer.state, style: (peer) => stateStyle(peer.state) },
    { title: "SENT/S", value: (peer) => bytes(peer.txBytesPerSecond), align: "right" },
    { title: "RECV/S", value: (peer) => bytes(peer.rxBytesPerSecond), align: "right" },
    { title: "PKT/S OUT", value: (peer) => count(peer.txPacketsPerSecond), align: "right", spare: 2 },
    { title: "PKT/S IN", value: (peer) => count(peer.rxPacketsPerSecond), align: "right", spare: 2 },
    {
      title: "RTT",
      value: (peer) => (peer.rttMillis === null ? "" : millis(peer.rttMillis)),
      align: "right",
    },
    {
      title: "LOSS",
      value: (peer) => percent(peer.loss),
      align: "right",
      style: (peer) => ((peer.loss ?? 0) > 0.01 ? "yellow" : undefined),
    },
    { title: "MOVES", value: (peer) => String(peer.handovers), align: "right", spare: 1 },
    {
      title: "PATH",
      value: (peer) => pathText(peer.path) || (peer.lastError ?? ""),
      style: (peer) => (peer.path === null ? "red" : undefined),
      spare: 3,
    },
  ];
}

export function isUsable({ state }: Pick<PeerRates, "state">): boolean {
  return state === "ESTABLISHED" || state === "R2-SENT";
}

/** `0`, `0.5`, `950`, `12k`, `3.4M`: numbers of things in few characters. */
export function count(value: number): string {
  if (value < 10 && !Number.isInteger(value)) return value.toFixed(1);
  if (value < 10_000) return value.toFixed(0);
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)}k`;
  return `${(value / 1e6).toFixed(value < 1e8 ? 1 : 0)}M`;
}

type Compare = (a: PeerRates, b: PeerRates) => number;

function byName(a: PeerRates, b: PeerRates): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function byTraffic(a: PeerRates, b: PeerRates): number {
  const of = (peer: PeerRates): number => peer.txBytesPerSecond + peer.rxBytesPerSecond;
  return of(b) - of(a) || Number(isUsable(b)) - Number(isUsable(a)) || byName(a, b);
}

function byState(a: PeerRates, b: PeerRates): number {
  // What does not work first.
  return (
    Number(isUsable(a)) - Number(isUsable(b)) ||
    (a.state < b.state ? -1 : a.state > b.state ? 1 : byName(a, b))
  );
}

/** The highest first, then what is not known. */
function most(pick: (peer: PeerRates) => number | null): Compare {
  return (a, b) => (pick(b) ?? -1) - (pick(a) ?? -1) || byName(a, b);
}
