/** Where peers see this host's packets come from (RFC 9028 5.12, MAPPED_ADDRESS): for people who want to know what a NAT does. */
import { BoundedMap } from "../core/bounded.ts";
import { formatHit } from "../core/ip.ts";
import { type Endpoint, endpointText, type Hit, type Instant } from "../core/types.ts";
import type { ControlReply } from "./control.ts";
import type { PeerTable } from "./peers.ts";
import { isoTime, type Moment } from "./views.ts";
import type { CloudFacts } from "./whereabouts.ts";

/** One for each peer and each local address of ours. */
export const MAX_SIGHTINGS = 256;

/** What one peer sees of one of our addresses. */
export interface SightingView {
  /** The peer's name; null when it is not configured any more. */
  readonly peer: string | null;
  readonly hit: string;
  /** Our own address and port. */
  readonly local: string;
  /** What the peer sees in their place. */
  readonly seen: string;
  /** Since when it says so. */
  readonly since: string;
}

export interface CloudView {
  /** "openstack", "aws", "gcp", "azure". */
  readonly provider: string;
  readonly instance: string;
  readonly addresses: readonly string[];
}

interface Sighting {
  readonly peer: Hit;
  readonly local: Endpoint;
  readonly seen: Endpoint;
  readonly since: Instant;
}

/** Each peer's last word. Other than in `ReflexiveAddresses`, "I see what you are" counts, too: it says that there is no NAT. */
export class Sightings {
  readonly #all = new BoundedMap<string, Sighting>("sightings", MAX_SIGHTINGS, "evict-oldest");

  overflows(): Readonly<Record<string, number>> {
    return { [this.#all.name]: this.#all.overflows };
  }

  add(peer: Hit, local: Endpoint, seen: Endpoint, now: Instant): void {
    const key = `${peer} ${local.address}`;
    const before = this.#all.get(key);
    const same = before !== undefined && endpointText(before.seen) === endpointText(seen);
    this.#all.set(key, { peer, local, seen, since: same ? before.since : now });
  }

  /** The association that vouched for it is gone. */
  forget(peer: Hit): void {
    this.#all.deleteWhere((sighting) => sighting.peer === peer);
  }

  /** What was seen of addresses that went away is forgotten. */
  keep(stays: (address: string) => boolean): void {
    this.#all.deleteWhere(({ local }) => !stays(local.address));
  }

  views(peers: PeerTable, { now, wall }: Moment): readonly SightingView[] {
    return [...this.#all.values()].map(({ peer, local, seen, since }) => ({
      peer: peers.byHit(peer)?.config.name ?? null,
      hit: formatHit(peer),
      local: endpointText(local),
      seen: endpointText(seen),
      since: isoTime(wall - (now - since)),
    }));
  }
}

/** What others say about where this host is. */
export function whereaboutsReply(
  from: Moment & {
    readonly peers: PeerTable;
    readonly whereabouts: { readonly sightings: Sightings; readonly cloudFacts: CloudFacts | undefined };
  },
): ControlReply {
  const { sightings, cloudFacts } = from.whereabouts;
  return { type: "whereabouts", seen: sightings.views(from.peers, from), cloud: cloudFacts ?? null };
}
