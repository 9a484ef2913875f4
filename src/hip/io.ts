/** What goes into the protocol and what comes out: the whole surface of `Host`. */
import type { Brand, Carrier, Endpoint, Hit, Path, Spi } from "../core/types.ts";
import type { Job, JobResult } from "./job.ts";
import type { InnerFamily, SaSpec } from "./sa.ts";

export type JobId = Brand<number, "JobId">;

/** The states of RFC 7401 4.4.2. */
export type StateName =
  | "UNASSOCIATED"
  | "I1-SENT"
  | "I2-SENT"
  | "R2-SENT"
  | "ESTABLISHED"
  | "CLOSING"
  | "CLOSED"
  | "E-FAILED";

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
  | { readonly type: "job-done"; readonly id: JobId; readonly result: JobResult }
  /** `spi` is our inbound SPI for "first-inbound", "idle" and "moved", the outbound one for "soft-expiry". */
  | {
      readonly type: "esp";
      readonly spi: Spi;
      readonly event: "first-inbound" | "soft-expiry" | "idle" | "moved";
    }
  | { readonly type: "timeout" };

export type EventName =
  | "association-state"
  | "association-established"
  | "association-rekeyed"
  | "rekey-failed"
  | "association-closed"
  | "association-failed"
  | "exchange-refused"
  | "notify-received"
  | "notify-sent"
  | "authentication-failed"
  | "peer-discovered";

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
  | { readonly type: "sa-path"; readonly spi: Spi; readonly path: Path }
  | { readonly type: "sa-drop"; readonly spi: Spi; readonly direction: "in" | "out"; readonly peer: Hit }
  | { readonly type: "route"; readonly peer: Hit; readonly via: Spi | "demand" | "reject" }
  | HostEvent
  /** Every discarded packet: `reason` is a snake_case word of a closed list. */
  | { readonly type: "drop"; readonly reason: string };

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
}

/** Numbers that are not events: gauges of the protocol's own tables. */
export interface HostGauges {
  readonly puzzleDifficulty: number;
  readonly jobsInFlight: number;
  readonly associations: number;
  readonly r1Generations: number;
}
