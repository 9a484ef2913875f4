/** What is measured of single peers: few numbers each, for as many peers as the exporter can bear. */
import type { Hit } from "../core/types.ts";
import type { HostEvent } from "../hip/io.ts";
import type { Traffic } from "./control.ts";
import { type LocatorSource, pairsOf, pathSummary } from "./locator-views.ts";
import type { Protocol } from "./overlay.ts";
import type { Peer } from "./peers.ts";

export interface PeerSample {
  readonly name: string;
  /** Packets flow to it. */
  readonly up: boolean;
  /** It did not answer when it was called last, or went silent. */
  readonly unreachable: boolean;
  readonly rttMillis: number | undefined;
  /** 0 to 1. */
  readonly loss: number | undefined;
  readonly pathMtu: number | undefined;
  readonly txBytes: number | undefined;
  readonly rxBytes: number | undefined;
}

/** The first `limit` peers, in the order of their configuration. */
export function peerSamples(
  from: LocatorSource,
  traffic: readonly Traffic[],
  limit: number,
): readonly PeerSample[] {
  const byPeer = new Map<Hit, Traffic>(traffic.map((one) => [one.peer, one]));
  const samples: PeerSample[] = [];
  for (const peer of from.peers.all()) {
    if (samples.length >= limit) break;
    const counted = peer.hit === undefined ? undefined : byPeer.get(peer.hit);
    const path = peer.hit === undefined ? undefined : pathSummary(pairsOf(peer.hit, from, byPeer));
    samples.push({
      name: peer.config.name,
      up: isUp(peer),
      unreachable: isUnreachable(peer, from.host),
      rttMillis: path?.rttMillis ?? undefined,
      loss: path?.loss ?? undefined,
      pathMtu: counted?.pathMtu,
      txBytes: counted?.txBytes,
      rxBytes: counted?.rxBytes,
    });
  }
  return samples;
}

export function isUp(peer: Peer): boolean {
  return typeof peer.via === "number";
}

/** Also a peer whose path in use died, and no other one works: its association waits for it. */
export function isUnreachable(peer: Peer, host: Protocol): boolean {
  if (peer.unreachable === true) return true;
  if (peer.hit === undefined || !isUp(peer)) return false;
  const current = host.paths?.(peer.hit).find((path) => path.current);
  return current !== undefined && !current.verified && current.heardAt !== undefined;
}

/** Ends of associations that mean that the peer was not there any more. */
const SILENT: ReadonlySet<unknown> = new Set(["unreachable", "no_answer_to_update"]);

/** Whether an event says that its peer can be reached (true), cannot (false), or neither. */
export function reachability(event: HostEvent): boolean | undefined {
  switch (event.name) {
    case "association-established":
      return true;
    case "association-failed":
      return false;
    case "association-closed":
      return !SILENT.has(event.detail["reason"]);
    default:
      return undefined;
  }
}
