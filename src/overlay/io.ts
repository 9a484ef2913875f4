/** What goes into the overlay and what comes out: the whole surface of `Overlay`. */
import type { Hit, Lsi, Path, Result, Spi } from "../core/types.ts";
import type { HostInput, HostOutput } from "../hip/io.ts";
import type { PeerConfig } from "./config.ts";
import type { ControlReply, ControlRequest, OverlayEvent, RequestId, Traffic } from "./control.ts";
import type { LocalAddress } from "./own-locators.ts";
import type { MonitorOutput } from "./path-monitor.ts";
import type { SavedState } from "./state.ts";

/** What the data plane counts, handed in with requests that show it. */
export interface Counts {
  readonly traffic: readonly Traffic[];
  readonly counters: Readonly<Record<string, number>>;
}

/** What the data plane tells of, besides HIP packets. */
export type PlaneEvent =
  /** A local packet waits for `peer`. */
  | { readonly type: "miss"; readonly peer: Hit }
  /** `spi` is the inbound SA; for `soft-expiry` the outbound one. */
  | { readonly type: "esp"; readonly spi: Spi; readonly event: "first-inbound" | "soft-expiry" | "idle" }
  /** Authenticated ESP came from somewhere else than the SA's path: only a hint (at most one a second for an SA). */
  | { readonly type: "moved"; readonly spi: Spi; readonly path: Path }
  /** ESP under an SPI that is not ours: rate-limited, unauthenticated, only a hint. */
  | { readonly type: "unknown-spi"; readonly spi: Spi; readonly path: Path }
  | { readonly type: "echo-reply"; readonly peer: Hit; readonly sequence: number; readonly rttMicros: number }
  /** The host's own underlay addresses changed: all of them, as they are now. */
  | { readonly type: "addresses"; readonly local: readonly LocalAddress[] }
  /** Packets went to this peer for `millis`, and nothing authenticated came back meanwhile. Repeated while that lasts. */
  | { readonly type: "silent"; readonly peer: Hit; readonly millis: number }
  /** A `probe` was answered. `bytes`: its outer length, IP header included. */
  | {
      readonly type: "probe-reply";
      readonly peer: Hit;
      readonly token: number;
      readonly rttMicros: number;
      readonly bytes: number;
    };

export type OverlayInput =
  /** Once, before anything else. */
  | { readonly type: "start" }
  | Extract<HostInput, { type: "datagram" | "job-done" | "timeout" }>
  | PlaneEvent
  /** The answer to "poll". */
  | { readonly type: "traffic"; readonly traffic: readonly Traffic[] }
  | {
      readonly type: "request";
      readonly id: RequestId;
      readonly request: Exclude<ControlRequest, { type: "events" }>;
      readonly counts: Counts | undefined;
    }
  /** Nobody waits for answers any more. */
  | { readonly type: "cancel"; readonly id: RequestId }
  /** The answer to "persist-peer" (the file written) and "unpersist-peer". */
  | { readonly type: "persisted"; readonly token: number; readonly result: Result<string, string> }
  /** Closes every association. The overlay goes on until nothing is `closing`. */
  | { readonly type: "shutdown" };

export type OverlayOutput =
  | Exclude<HostOutput, { type: "route" | "event" | "paths" | "seen-as" }>
  | Extract<MonitorOutput, { type: "probe" | "path-mtu" }>
  | { readonly type: "route"; readonly peer: Hit; readonly via: Spi | "demand" | "reject" | "unknown" }
  | { readonly type: "alias"; readonly lsi: Lsi; readonly peer: Hit | undefined }
  | {
      readonly type: "ping";
      readonly localHit: Hit;
      readonly peer: Hit;
      readonly sequence: number;
      readonly bytes: number;
    }
  /** The counters of all associations are wanted, as an input "traffic". */
  | { readonly type: "poll" }
  /** No more answers follow when `last` is true. */
  | { readonly type: "reply"; readonly id: RequestId; readonly reply: ControlReply; readonly last: boolean }
  | { readonly type: "event"; readonly event: OverlayEvent }
  | { readonly type: "save"; readonly state: SavedState }
  | { readonly type: "persist-peer"; readonly token: number; readonly peer: PeerConfig }
  | { readonly type: "unpersist-peer"; readonly token: number; readonly peer: PeerConfig }
  /** The host's own HITs or the one that is used by default changed. */
  | { readonly type: "identities"; readonly all: readonly Hit[]; readonly preferred: Hit };
