/** What the control plane tells the data plane about an ESP security association (RFC 7402 3). */
import type { Hit, Path, Spi } from "../core/types.ts";

/** ESP suite IDs of RFC 7402 5.1.2 that this implementation knows. */
export type EspSuite = 7 | 8 | 9 | 12 | 13;

/** How an inner packet shows itself to applications: as IPv6 between HITs or as IPv4 between LSIs. */
export type InnerFamily = "hit" | "lsi";

/** One direction of an ESP security association. Never logged: it holds keys. */
export interface SaSpec {
  readonly direction: "in" | "out";
  readonly spi: Spi;
  /**
   * A second SPI of the same SA (same key, same sequence space, same replay window): packets under it were IPv4
   * between LSIs at the sender. Undefined when the peer is other software.
   */
  readonly lsiSpi: Spi | undefined;
  readonly suite: EspSuite;
  /** AES key; for suites 12 and 13 followed by the 4 bytes of salt (RFC 4106 8.1); empty for suite 7. */
  readonly encryptionKey: Uint8Array;
  /** HMAC-SHA-256 key; empty for suites 12 and 13. */
  readonly integrityKey: Uint8Array;
  readonly localHit: Hit;
  readonly peerHit: Hit;
  /** Outbound: where packets go. Inbound: where they are expected from; any other source is only a hint. */
  readonly path: Path;
  /** Inbound without `lsiSpi`: what a packet becomes when no existing flow decides. */
  readonly inboundFamily: InnerFamily;
  /** Packets under this SA after which the data plane raises `soft-expiry` once. It never seals more than twice that. */
  readonly softPackets: number;
  /** Milliseconds without a packet in either direction after which `idle` is raised, again and again. 0: never. */
  readonly idleAfter: number;
}
