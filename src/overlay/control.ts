/**
 * What can be asked of a running overlay and what it answers. Plain data that turns into JSON as it is: HITs are IPv6
 * text (RFC 5952), times are ISO 8601 in UTC, what is not known is null.
 */
import type { Brand, Carrier, Endpoint, Hit } from "../core/types.ts";
import type { StateName } from "../hip/io.ts";
import type { InnerFamily } from "../hip/sa.ts";
import type { OverlayConfig, PeerSource } from "./config.ts";
import type { DnsFacts, DnsPeer } from "./dns-peers.ts";
import type { AnyEventName } from "./event-catalogue.ts";
import type { OwnLocatorView, PeerLocatorsView } from "./locator-views.ts";
import type { NameAnswer } from "./name-answers.ts";
import type { CloudView, SightingView } from "./sightings.ts";
import type { CloudFacts } from "./whereabouts.ts";

/** Tells the answers of one request from those of others. */
export type RequestId = Brand<number, "RequestId">;

/** Wherever `peer` stands: a name, a HIT in any IPv6 form, or an LSI. */
export type ControlRequest =
  | { readonly type: "status" }
  | { readonly type: "version" }
  | { readonly type: "peer-list" }
  | { readonly type: "peer-show"; readonly peer: string }
  /** `keep`: also after a restart (written to peers.d). */
  | { readonly type: "peer-add"; readonly peer: NewPeer; readonly keep: boolean }
  /** `keep`: also after a reload or restart, which is refused for peers of the configuration file. */
  | { readonly type: "peer-remove"; readonly peer: string; readonly keep: boolean }
  | { readonly type: "association-list" }
  | { readonly type: "association-show"; readonly peer: string }
  | { readonly type: "association-close"; readonly peer: string }
  /** One answer, when the association is usable, has failed, or `timeoutMillis` have passed. */
  | { readonly type: "connect"; readonly peer: string; readonly timeoutMillis: number }
  /**
   * Answers: "ping-start" when the association is usable, then one "ping-reply" or "ping-lost" for each, then "ping-done".
   * `count` 0: until cancelled. `bytes` of payload. `timeoutMillis` for the exchange, and for each reply.
   */
  | {
      readonly type: "ping";
      readonly peer: string;
      readonly count: number;
      readonly intervalMillis: number;
      readonly bytes: number;
      readonly timeoutMillis: number;
    }
  /** Where this host is and where its peers are: one peer, or all. */
  | { readonly type: "locator-list"; readonly peer: string | undefined }
  /** Until the next start of the daemon. Port 0: our own. */
  | { readonly type: "locator-add"; readonly locator: Endpoint }
  | { readonly type: "locator-remove"; readonly address: string }
  /** Undefined: the rule alone decides again. */
  | { readonly type: "locator-prefer"; readonly address: string | undefined }
  /** Moves an association to another pair of addresses, and keeps it there; without any, leaves the choice to the policy. */
  | {
      readonly type: "handover";
      readonly peer: string;
      readonly to: string | undefined;
      readonly from: string | undefined;
      readonly timeoutMillis: number;
    }
  /** Tells every associated peer that this host will be away for so long; 0: it stays after all. */
  | { readonly type: "away"; readonly seconds: number }
  /** From the cloud's metadata service. */
  | { readonly type: "cloud"; readonly facts: CloudFacts }
  /** What peers and the cloud say about where this host is. */
  | { readonly type: "whereabouts" }
  /** What DNS is told about a name; `kind` is the number of the type. */
  | { readonly type: "name-query"; readonly name: string; readonly kind: number }
  /** The peers to look for in DNS, and what was found about one. */
  | { readonly type: "dns-peers" }
  | { readonly type: "dns-facts"; readonly peer: string; readonly facts: DnsFacts }
  | { readonly type: "counters" }
  /** Answers without end: remembered events with a number of at least `since` (undefined: only new ones), then each as it happens. */
  | { readonly type: "events"; readonly since: number | undefined }
  | { readonly type: "identity-list" }
  /** The default identity, or with `peer` the one that this peer is shown. Until the next restart or reload. */
  | { readonly type: "identity-use"; readonly hit: string; readonly peer: string | undefined }
  /** Applies the differences to the present configuration, all or (with an error) nothing. */
  | { readonly type: "configure"; readonly config: OverlayConfig };

/** A peer as somebody adds it at run time. */
export interface NewPeer {
  readonly name: string;
  /** Any IPv6 form; undefined: opportunistic. */
  readonly hit: string | undefined;
  /** The HIT of one of our identities; undefined: the default one. */
  readonly identity: string | undefined;
  readonly carrier: Carrier;
  readonly locators: readonly Endpoint[];
  readonly inboundFamily: InnerFamily;
  /** Its name in DNS, in lower case and without the final dot. */
  readonly dns?: string | undefined;
}

export type ControlErrorCode = "not_found" | "invalid" | "exists" | "failed" | "timeout" | "denied";

export interface ControlError {
  readonly type: "error";
  readonly code: ControlErrorCode;
  /** What was wrong, where, and what to do. */
  readonly message: string;
}

export interface PathView {
  readonly carrier: Carrier;
  /** `192.0.2.1:10500`, `[2001:db8::1]:10500`, or the bare address for carrier "none". */
  readonly local: string;
  readonly remote: string;
}

export type PathState = "verified" | "unverified";

export interface IdentityView {
  readonly hit: string;
  readonly suite: number;
  readonly algorithm: string;
  readonly file: string;
  readonly default: boolean;
  /** Names of the peers that are shown this identity. */
  readonly peers: readonly string[];
}

/** A configured peer with all that is known about its association. */
export interface PeerView {
  readonly name: string;
  /** Null: opportunistic and not met yet. */
  readonly hit: string | null;
  readonly lsi: string | null;
  readonly state: StateName;
  /** Name of the ESP suite in use. */
  readonly suite: string | null;
  readonly path: PathView | null;
  readonly txBytes: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly rxPackets: number;
  readonly establishedAt: string | null;
  readonly lastError: string | null;
  /** Time of `lastError`. */
  readonly lastErrorAt: string | null;
  readonly locators: readonly string[];
  readonly carrier: Carrier;
  readonly inboundFamily: InnerFamily;
  /** Our identity towards this peer. */
  readonly identity: string;
  readonly source: PeerSource;
  readonly file: string;
  readonly opportunistic: boolean;
  /** "verified": an answer came along the path in use; "unverified": none yet, only credit is spent on it. Null: no path. */
  readonly pathState: PathState | null;
  readonly rttMillis: number | null;
  /** Other pairs of addresses that work. */
  readonly otherPaths: number;
  /** 0 to 1: of the probes along the path in use. */
  readonly loss: number | null;
  /** Times that data moved to another path, since the peer is known to this daemon. */
  readonly handovers: number;
}

export interface AssociationDetails {
  readonly name: string;
  readonly hit: string;
  readonly identity: string;
  readonly lsi: string | null;
  readonly state: StateName;
  readonly role: "initiator" | "responder" | "none";
  readonly path: PathView | null;
  readonly suite: string | null;
  readonly hipCipher: string | null;
  readonly dhGroup: string | null;
  /** SPIs as `0x` and 8 hex digits. */
  readonly inSpi: string | null;
  readonly outSpi: string | null;
  readonly exchangeMillis: number | null;
  readonly pathState: PathState | null;
  readonly rttMillis: number | null;
  /** 0 to 1: of the probes along the path in use. */
  readonly loss: number | null;
  readonly otherPaths: number;
  /** Begin of the present state. */
  readonly since: string;
  readonly establishedAt: string | null;
  readonly peerDomain: string | null;
  /** Largest outer packet that the path carries, in bytes. */
  readonly pathMtu: number | null;
  readonly txBytes: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly rxPackets: number;
}

export interface SelfView {
  /** The default identity. */
  readonly hit: string;
  readonly lsi: string;
  readonly identities: readonly IdentityView[];
  readonly interface: string;
  readonly port: number;
  readonly lsiPrefix: string;
  /** Underlay addresses as last told by the data plane. */
  readonly addresses: readonly string[];
}

/** Something that happened. Names are stable words; `detail` never holds key material. */
export interface OverlayEvent {
  /** Counts up from 1 since the daemon's start, without gaps. */
  readonly number: number;
  readonly time: string;
  readonly name: AnyEventName;
  /** The peer's name; null when there is none or it is not configured. */
  readonly peer: string | null;
  readonly hit: string | null;
  readonly detail: Readonly<Record<string, string | number>>;
}

export type ControlReply =
  | ControlError
  | {
      readonly type: "status";
      readonly self: SelfView;
      readonly version: string;
      readonly startedAt: string;
      readonly uptimeSeconds: number;
      readonly peers: readonly PeerView[];
    }
  | { readonly type: "version"; readonly version: string }
  | { readonly type: "peers"; readonly peers: readonly PeerView[] }
  | { readonly type: "peer"; readonly peer: PeerView }
  | { readonly type: "removed"; readonly name: string }
  | { readonly type: "associations"; readonly associations: readonly AssociationDetails[] }
  | { readonly type: "association"; readonly association: AssociationDetails }
  /** CLOSE is on its way; `was` is the state before. */
  | { readonly type: "closing"; readonly name: string; readonly was: StateName }
  /** `millis` is what the caller waited. */
  | { readonly type: "connected"; readonly association: AssociationDetails; readonly millis: number }
  /** `exchangeMillis` is null when the association was usable already. */
  | {
      readonly type: "ping-start";
      readonly name: string;
      readonly hit: string;
      readonly lsi: string | null;
      readonly exchangeMillis: number | null;
      readonly path: PathView | null;
    }
  | {
      readonly type: "ping-reply";
      /** Counts from 1. */
      readonly sequence: number;
      readonly bytes: number;
      readonly rttMillis: number;
      readonly path: PathView | null;
    }
  | { readonly type: "ping-lost"; readonly sequence: number }
  | {
      readonly type: "ping-done";
      readonly sent: number;
      readonly received: number;
      readonly minMillis: number | null;
      readonly meanMillis: number | null;
      readonly maxMillis: number | null;
    }
  | {
      readonly type: "locators";
      readonly own: readonly OwnLocatorView[];
      readonly peers: readonly PeerLocatorsView[];
    }
  /** `millis` is what the caller waited; `moved`: false when the path was in use already, or the policy chooses again. */
  | {
      readonly type: "handed-over";
      readonly name: string;
      readonly moved: boolean;
      readonly path: PathView | null;
      readonly millis: number;
    }
  | {
      readonly type: "whereabouts";
      readonly seen: readonly SightingView[];
      readonly cloud: CloudView | null;
    }
  | { readonly type: "noted" }
  | { readonly type: "name-answer"; readonly answer: NameAnswer }
  | { readonly type: "dns-peers"; readonly peers: readonly DnsPeer[] }
  | { readonly type: "away"; readonly peers: readonly string[]; readonly seconds: number }
  | { readonly type: "counters"; readonly counters: Readonly<Record<string, number>> }
  | { readonly type: "event"; readonly event: OverlayEvent }
  | { readonly type: "identities"; readonly identities: readonly IdentityView[] }
  | { readonly type: "configured"; readonly changes: ConfigChanges };

/** What a reload did, by name. */
export interface ConfigChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  /** Settings of the protocol changed. */
  readonly host: boolean;
  /** `[locators]` changed. */
  readonly locators: boolean;
  readonly identities: boolean;
}

/** Traffic of one association as the data plane counts it, both directions. */
export interface Traffic {
  readonly peer: Hit;
  readonly txPackets: number;
  readonly txBytes: number;
  readonly rxPackets: number;
  readonly rxBytes: number;
  /** Largest outer packet that the path carries. */
  readonly pathMtu: number;
}

/** What the overlay is told about the program and machine around it. */
export interface Facts {
  readonly version: string;
  /** Name of the TUN interface. */
  readonly interface: string;
}
