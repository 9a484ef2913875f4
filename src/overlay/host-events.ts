/** What follows for peers, requests and metrics when something happens in the protocol. */
import { type Hit, NULL_HIT } from "../core/types.ts";
import type { AssociationView, HostEvent } from "../hip/io.ts";
import type { Meter } from "./metrics.ts";
import { reachability } from "./peer-metrics.ts";
import type { Peer, PeerTable } from "./peers.ts";
import type { WaitingRequests } from "./waiting.ts";
import type { Whereabouts } from "./whereabouts.ts";

/** Events that say why a peer cannot be reached. */
const ERROR_EVENTS: ReadonlySet<string> = new Set([
  "association-failed",
  "exchange-refused",
  "authentication-failed",
  "clone-detected",
]);

/** An exchange that fails so soon after a second host with the same identity was told of failed because of it, in milliseconds. */
const CLONE_EXPLAINS = 30_000;

/** What this needs from the overlay. */
export interface HostEventPort {
  readonly host: { association(peer: Hit): AssociationView | undefined };
  readonly peers: PeerTable;
  readonly waiting: WaitingRequests;
  readonly whereabouts: Whereabouts;
  readonly meter: Meter;
  readonly wall: number;
}

export function tookPlace(event: HostEvent, port: HostEventPort): void {
  const { whereabouts, waiting, wall } = port;
  const peer = peerOf(event.peer, port);
  measure(event, port);
  const reached = reachability(event);
  if (peer !== undefined && reached !== undefined) peer.unreachable = !reached;
  if (peer !== undefined && event.name === "handover") peer.handovers++;
  if (event.name === "association-established") whereabouts.established(event.peer);
  else if (event.name === "association-failed") whereabouts.failed(event.peer);
  else if (event.name === "association-closed")
    whereabouts.closed(event.peer, String(event.detail["reason"]));
  if (peer === undefined || !ERROR_EVENTS.has(event.name)) return;
  const before = peer.lastError;
  const explained =
    event.name === "association-failed" &&
    before?.event === "clone-detected" &&
    wall - before.wall < CLONE_EXPLAINS;
  const text = explained ? `${errorText(event)}: ${before.text}` : errorText(event);
  peer.lastError = { text, wall, event: event.name };
  if (event.name === "association-failed") {
    waiting.peerFailed(peer, `no association with "${peer.config.name}": ${text}`);
  }
}

/** The NULL HIT means the opportunistic peer that somebody waits for. */
function peerOf(hit: Hit, { peers, waiting }: HostEventPort): Peer | undefined {
  if (hit !== NULL_HIT) return peers.byHit(hit);
  for (const peer of peers.all()) {
    if (peer.hit === undefined && waiting.waitsFor(peer)) return peer;
  }
  return undefined;
}

function measure(event: HostEvent, { host, meter }: HostEventPort): void {
  const association = host.association(event.peer);
  const role = event.detail["role"] ?? association?.role;
  const known = role === "responder" ? "responder" : "initiator";
  if (event.name === "association-established") {
    meter.exchangeCompleted(known, association?.exchangeMillis);
  } else if (event.name === "association-failed") meter.exchangeFailed(known);
  else if (event.name === "handover" || event.name === "handover-failed") {
    const { reason, millis } = event.detail;
    const outcome = event.name === "handover" ? "completed" : "failed";
    meter.handover(String(reason), outcome, typeof millis === "number" ? millis : undefined);
  }
}

function errorText(event: HostEvent): string {
  const { other, refused } = event.detail;
  if (event.name === "clone-detected") {
    return other === undefined
      ? `another host with this peer's identity called from ${refused}; the first one keeps the association`
      : `another host with our identity is at ${other}`;
  }
  const { reason, ...rest } = event.detail;
  const others = Object.entries(rest).map(([key, value]) => `${key} ${value}`);
  return [reason ?? event.name, ...others].join(", ");
}
