/** The edges of the pure world: what the driver needs from whoever runs it (the daemon or the simulator). */
import type { Hit, Instant, Lsi, Path, Result, Spi } from "../core/types.ts";
import type { Job, JobResult } from "../hip/job.ts";
import type { SaSpec } from "../hip/sa.ts";
import type { PeerConfig } from "../overlay/config.ts";
import type { OverlayEvent, Traffic } from "../overlay/control.ts";
import type { PlaneEvent } from "../overlay/io.ts";
import type { SavedState } from "../overlay/state.ts";

/**
 * What the data plane does with local packets for a peer.
 * - an SPI: seals them under that outbound SA; held packets leave at once.
 * - "demand": holds them (bounded) and raises `miss`, at most once a second while more arrive.
 * - "reject": answers each, and each held one, with ICMP host unreachable.
 * - "unknown": forgets the peer. Packets for unknown peers are answered like "reject" and raise nothing.
 */
export type Route = Spi | "demand" | "reject" | "unknown";

export type DataPlaneEvent =
  /** A HIP packet, without the zero SPI marker of RFC 9028 5.1. */
  { readonly type: "control"; readonly path: Path; readonly bytes: Uint8Array } | PlaneEvent;

/** Counters never go back while the association lives. */
export interface AssociationStats extends Traffic {
  readonly outSpi: Spi | undefined;
  readonly inSpi: Spi | undefined;
}

/** Everything that touches user packets. Calls return at once; none throws for a value of the right type. */
export interface DataPlane {
  /** The local address that the kernel would use towards `remote`; undefined when there is no route. */
  source(remote: string): string | undefined;
  /** Sends a HIP packet. The zero SPI marker is added for carrier "udp". */
  send(path: Path, bytes: Uint8Array): void;
  addSa(sa: SaSpec): void;
  /**
   * Sends what goes out under `outbound` along `path`, and expects the peer's packets from there. To a destination that
   * is not `verified` only as many bytes go as the peer has sent us lately (RFC 8046 5.6).
   */
  setPath(peer: Hit, outbound: Spi, path: Path, verified: boolean): void;
  /**
   * Sends one ESP packet of `bytes` bytes (0: what the kernel thinks the path carries), outer IP header included, that
   * may not be fragmented, along `path`, whatever the path of the SA is; the peer's data plane answers it with a short one along the same path. Only for addresses
   * that are verified.
   */
  probe(peer: Hit, path: Path, token: number, bytes: number): void;
  /** The largest outer packet that the path in use carries, as probes found. Undefined: what the kernel says. */
  setPathMtu(peer: Hit, mtu: number | undefined): void;
  /** Drops most I1s and I2s from an underlay address, for a while (RFC 7401 4.1.1); whatever else comes from there is heard as before. */
  shun(address: string, millis: number): void;
  /** An SA that is not there is ignored. Direction tells inbound (our SPIs) from outbound (the peer's). */
  dropSa(spi: Spi, direction: "in" | "out", peer: Hit): void;
  route(peer: Hit, via: Route): void;
  /** Local packets for `lsi` go to `peer`, and inbound IPv4 of `peer` comes from `lsi`. Undefined forgets it. */
  alias(lsi: Lsi, peer: Hit | undefined): void;
  /** Sends one ICMPv6 echo request from our HIT to the peer's through the overlay, as if an application had. */
  ping(localHit: Hit, peer: Hit, sequence: number, bytes: number): void;
  /** Called at most once between two drains when events wait. */
  onReady: () => void;
  drain(max: number): readonly DataPlaneEvent[];
  associations(): readonly AssociationStats[];
  /** Names end in _total for counters; others are gauges. Drops are `drop_<reason>_total`. */
  counters(): Readonly<Record<string, number>>;
  close(): void;
}

export interface Clock {
  now(): Instant;
  /** Wall-clock milliseconds since 1970, for timestamps that people read. Never used for timers. */
  wall(): number;
}

/** One alarm: setting it replaces the former one. */
export interface Alarm {
  set(at: Instant | undefined): void;
}

/** Runs heavy crypto; the result comes back through the callback, later or at once. */
export interface JobRunner {
  run(job: Job, done: (result: JobResult) => void): void;
}

/** The rest of the world around the driver: disk, log and the event loop. */
export interface Shell {
  /** Keeps the state for the next start. Called when a peer gets an LSI; a later state replaces an earlier one. */
  saveState(state: SavedState): void;
  /** Writes a peer into peers.d; the file's name or why it could not be written. */
  persistPeer(peer: PeerConfig, done: (result: Result<string, string>) => void): void;
  /** Deletes the file that a peer stands in. */
  unpersistPeer(peer: PeerConfig, done: (result: Result<string, string>) => void): void;
  /** Every event, for the log. */
  event(event: OverlayEvent): void;
  /** The host's own HITs, or the one that is used by default, changed. */
  identities(all: readonly Hit[], preferred: Hit): void;
  /** Runs a task soon, after other waiting work had its turn. */
  defer(task: () => void): void;
}
