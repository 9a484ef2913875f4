/** What goes into the protocol and what comes out: the whole surface of `Host`. */
import type { Brand, Carrier, Endpoint, Hit, Instant, Path, Spi } from "../core/types.ts";
import type { HipDrop } from "./drop-reasons.ts";
import type { EventName } from "./event-catalogue.ts";
import type { Job, JobResult } from "./job.ts";
import type { LocatorStatus, OwnLocator } from "./locator.ts";
import type { InnerFamily, SaSpec } from "./sa.ts";

/** An identity as the protocol needs it: the private key stays with the job runner. */
export interface LocalIdentity {
  readonly hit: Hit;
  readonly suite: number;
}

export type JobId = Brand<number, "JobId">;

/** The states of RFC 7401 4.4.2. */
export const STATE_NAMES = [
  "UNASSOCIATED",
  "I1-SENT",
  "I2-SENT",
  "R2-SENT",
  "ESTABLISHED",
  "CLOSING",
  "CLOSED",
  "E-FAILED",
] as const;

export type StateName = (typeof STATE_NAMES)[number];

/** What the overlay says about a peer that may talk. Whoever is not known gets nothing. */
export interface PeerPolicy {
  readonly hit: Hit;
  /** The identity that we show this peer. */
  readonly localHit: Hit;
  readonly carrier: Carrier;
  /** Where the peer may be, best first; ports are 0 for carrier "none". */
  readonly locators: readonly Endpoint[];
  /** What inbound packets become when neither a second SPI nor a flow tells. */
  readonly inboundFamily: InnerFamily;
}

/** The overlay's peers as the protocol sees them. Called synchronously; must be cheap. */
export interface PeerBook {
  find(peer: Hit): PeerPolicy | undefined;
  /** A peer that opportunistic mode made known (RFC 7401 4.1.8); true if it may talk. */
  discovered(peer: Hit, localHit: Hit, carrier: Carrier, at: Endpoint): boolean;
}

export type HostInput =
  /** A HIP packet, without the zero SPI marker. */
  | { readonly type: "datagram"; readonly bytes: Uint8Array; readonly path: Path }
  /** A local packet waits for `peer`, or somebody asked for the association. */
  | { readonly type: "connect"; readonly peer: Hit }
  | {
      readonly type: "connect-opportunistic";
      readonly localHit: Hit;
      readonly carrier: Carrier;
      readonly remote: Endpoint;
    }
  | { readonly type: "close"; readonly peer: Hit }
  /** Forgets the peer at once: SAs dropped, CLOSE sent once, nothing awaited. */
  | { readonly type: "forget"; readonly peer: Hit }
  /** Asks an established peer for a sign of life by UPDATE; silence ends the association (RFC 7401 6.11 step 4). */
  | { readonly type: "probe"; readonly peer: Hit }
  /** Where we can be reached from now on, best first: replaces what was said before. */
  | { readonly type: "locators"; readonly own: readonly OwnLocator[] }
  /** Probes or silence say that nothing comes through the path in use, or how long a round trip takes on one. */
  | { readonly type: "path-down"; readonly peer: Hit; readonly path: Path }
  | { readonly type: "path-rtt"; readonly peer: Hit; readonly path: Path; readonly millis: number }
  /** An operator wants the association on another path; what is undefined may be anything. */
  | {
      readonly type: "handover";
      readonly peer: Hit;
      readonly local: string | undefined;
      readonly remote: string | undefined;
    }
  /** Authenticated ESP under our inbound SPI came along another path than the one in use. */
  | { readonly type: "moved"; readonly spi: Spi; readonly path: Path }
  /** We shall be away for a while, and back: peers shall keep the association (0: we are back). */
  | { readonly type: "away"; readonly seconds: number }
  /** Data went to these peers lately: no keepalive is needed (RFC 9028 4.10). */
  | { readonly type: "sent"; readonly peers: readonly Hit[] }
  | { readonly type: "job-done"; readonly id: JobId; readonly result: JobResult }
  /** `spi` is our inbound SPI for "first-inbound" and "idle", the outbound one for "soft-expiry". */
  | {
      readonly type: "esp";
      readonly spi: Spi;
      readonly event: "first-inbound" | "soft-expiry" | "idle";
    }
  | { readonly type: "timeout" };

/** Something that an operator may want to read or count. `detail` never holds key material. */
export interface HostEvent {
  readonly type: "event";
  readonly name: EventName;
  readonly local: Hit;
  readonly peer: Hit;
  readonly detail: Readonly<Record<string, string | number>>;
}

export type HostOutput =
  | { readonly type: "send"; readonly path: Path; readonly bytes: Uint8Array }
  | { readonly type: "job"; readonly id: JobId; readonly job: Job }
  | { readonly type: "sa-add"; readonly sa: SaSpec }
  /** `verified`: false while only credit may be spent on that destination (RFC 8046 5.6). */
  | {
      readonly type: "sa-path";
      readonly peer: Hit;
      readonly spi: Spi;
      readonly path: Path;
      readonly verified: boolean;
    }
  /** The paths to a peer, or the one in use, changed: see `Host.paths`. */
  | { readonly type: "paths"; readonly peer: Hit }
  /** The peer sees packets from our `local` address come from `mapped` (RFC 9028 5.12, MAPPED_ADDRESS). */
  | { readonly type: "seen-as"; readonly peer: Hit; readonly local: Endpoint; readonly mapped: Endpoint }
  | { readonly type: "sa-drop"; readonly spi: Spi; readonly direction: "in" | "out"; readonly peer: Hit }
  | { readonly type: "route"; readonly peer: Hit; readonly via: Spi | "demand" | "reject" }
  /** Little should be heard of what begins there: see wrong-answers.ts. */
  | { readonly type: "shun"; readonly address: string; readonly millis: number }
  | HostEvent
  /** Every discarded packet. */
  | { readonly type: "drop"; readonly reason: HipDrop };

/** One association as an operator sees it. */
export interface AssociationView {
  readonly local: Hit;
  readonly peer: Hit;
  readonly state: StateName;
  readonly role: "initiator" | "responder" | "none";
  readonly path: Path | undefined;
  readonly espSuite: number | undefined;
  readonly hipCipher: number | undefined;
  readonly dhGroup: number | undefined;
  readonly inSpi: Spi | undefined;
  readonly outSpi: Spi | undefined;
  /** Milliseconds that the last successful exchange took, from our first packet of it to its end. */
  readonly exchangeMillis: number | undefined;
  /** Instant of the state's beginning. */
  readonly since: number;
  /** Instant at which the association became usable. */
  readonly establishedAt: number | undefined;
  /** The peer's Domain Identifier as printable text, "" when it sent none. */
  readonly peerDomain: string;
  /** The peer's Host Identity, once it has proved that it is its own; a copy at each call. */
  readonly peerKey?: () => PeerKey | undefined;
}

export interface PeerKey {
  /** HI algorithm (RFC 7401 5.2.9). */
  readonly algorithm: number;
  readonly hostIdentity: Uint8Array;
}

/** Numbers that are not events: gauges of the protocol's own tables. */
export interface HostGauges {
  readonly puzzleDifficulty: number;
  readonly jobsInFlight: number;
  readonly associations: number;
  readonly r1Generations: number;
}

/** One pair of addresses that an association may use. */
export interface PathDetails {
  readonly path: Path;
  /** Data goes along it. */
  readonly current: boolean;
  /** An answer came back along it, and the peer still says that it is there. */
  readonly verified: boolean;
  readonly rttMillis: number | undefined;
  /** When it was last heard of: the answer to an echo request. */
  readonly heardAt: Instant | undefined;
}

/** What we know about one of a peer's locators (RFC 8046 5.1). */
export interface PeerLocatorDetails {
  readonly endpoint: Endpoint;
  readonly status: LocatorStatus;
  readonly preferred: boolean;
  readonly source: "exchange" | "announced" | "observed";
  readonly since: Instant;
  /** When it ends; undefined: never. */
  readonly until: Instant | undefined;
}
