/** Who may talk to whom: nobody, unless configured (default deny). */
import type { Hit } from "../core/types.ts";
import { locatorsOf, type Peer, type PeerTable } from "./peers.ts";

export type Verdict =
  | { readonly allow: true; readonly peer: Peer }
  /** `reason` is counted as a drop. */
  | { readonly allow: false; readonly reason: "peer_unknown" | "peer_without_locator" };

/** Whether a local packet may start an exchange with `hit`. */
export function mayConnect(peers: PeerTable, hit: Hit): Verdict {
  const peer = peers.byHit(hit);
  if (peer === undefined) return { allow: false, reason: "peer_unknown" };
  if (locatorsOf(peer).length === 0) return { allow: false, reason: "peer_without_locator" };
  return { allow: true, peer };
}
