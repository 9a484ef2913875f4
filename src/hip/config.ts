/** What the operator may set about the protocol, with the defaults of RFC 7401 and ours. */
import type { EspSuite } from "./sa.ts";

/** The Domain Identifier of HOST_ID (RFC 7401 5.2.9): 0 none, 1 FQDN, 2 NAI. */
export interface DomainIdentifier {
  readonly type: 0 | 1 | 2;
  readonly value: Uint8Array;
}

/** All times in milliseconds. */
export interface Timers {
  /** First retransmission of I1, I2, UPDATE and CLOSE; doubles each time, with jitter, up to `retransmitMax`. */
  readonly retransmit: number;
  readonly retransmitMax: number;
  /** How long R2-SENT waits for data before it assumes ESTABLISHED (RFC 7401 6.9 step 21). */
  readonly exchangeComplete: number;
  /** Unused Association Lifetime (RFC 7401 4.4.1): 15 minutes. */
  readonly unusedAssociationLifetime: number;
  /** Maximum Segment Lifetime (RFC 7401 4.4.1): 2 minutes. */
  readonly maximumSegmentLifetime: number;
  /** How long E-FAILED rejects local packets before the next attempt is allowed. */
  readonly failedHold: number;
  /** Age of the ESP keys at which they are replaced (RFC 7402 3.3.2). */
  readonly rekeyAfter: number;
  /** Delta T of RFC 7401 6.7.1: an R1 is offered this long at most. */
  readonly r1Offered: number;
  /** Delta S of RFC 7401 6.7.1: an R1 no longer offered is remembered this long for a late I2. */
  readonly r1Remembered: number;
}

export interface PuzzlePolicy {
  /** Difficulty K of an idle responder. */
  readonly idleK: number;
  /** Exchanges a second that an idle puzzle stands; each doubling beyond adds one bit. */
  readonly easyRate: number;
  /** The highest K that load can raise it to. */
  readonly loadedK: number;
  /** As initiator: a puzzle harder than this is refused. */
  readonly solveK: number;
  /** The Lifetime field: 2^(value-32) seconds (RFC 7401 5.2.4). */
  readonly lifetime: number;
}

/** How an association finds and keeps its path (RFC 8046). All times in milliseconds. */
export interface MobilityConfig {
  /** Which verified pair of addresses is used: by both ends' preferences, or the one with the shortest round trip. */
  readonly pathPolicy: "preferred" | "lowest-rtt";
  /** First retransmission of an address check that traffic waits for; doubles up to `checkRetransmitMax`. */
  readonly checkRetransmit: number;
  readonly checkRetransmitMax: number;
  /** How long all paths are tried when none answers, before the association ends and the next packet begins another. */
  readonly search: number;
  /** A path that did not answer is checked again after this; doubles each time, up to `holdMax`. */
  readonly recheck: number;
  /** How long a path that had failed must work before it is used again; doubles with each failure, up to `holdMax`. */
  readonly hold: number;
  readonly holdMax: number;
  /** Tr of RFC 9028 4.10; never less than 15 s. */
  readonly keepalive: number;
  /** How long the holder of an association may take to answer before another host with its identity gets it; 0: at once. */
  readonly challenge: number;
}

export interface Retries {
  readonly i1: number;
  readonly i2: number;
  readonly update: number;
}

export interface HostConfig {
  /** DH group IDs in order of preference (RFC 7401 5.2.7). */
  readonly dhGroups: readonly number[];
  /** HIP_CIPHER IDs in order of preference (RFC 7401 5.2.8). */
  readonly hipCiphers: readonly number[];
  /** HIT suites that we can verify, in order of preference (RFC 7401 5.2.10). */
  readonly hitSuites: readonly number[];
  /** ESP suites in order of preference (RFC 7402 5.1.2). */
  readonly espSuites: readonly EspSuite[];
  /** Our UDP port (RFC 9028 5.1: 10500). */
  readonly udpPort: number;
  /** Whether I2 hides the HOST_ID in ENCRYPTED. */
  readonly encryptHostId: boolean;
  readonly domainIdentifier: DomainIdentifier;
  /** Whether I1s to the NULL HIT are answered (RFC 7401 4.1.8). */
  readonly opportunistic: boolean;
  /** Whether the private parameter HIPD_LSI_SPI is offered. */
  readonly offerLsiSpi: boolean;
  readonly timers: Timers;
  readonly retries: Retries;
  readonly puzzle: PuzzlePolicy;
  readonly mobility: MobilityConfig;
  /** Associations that may exist at once. */
  readonly maxAssociations: number;
  /** Crypto jobs that may run at once; beyond it I2s are dropped and the puzzle gets harder. */
  readonly maxJobs: number;
  /** Whether rekeying brings a new Diffie-Hellman key, too (RFC 7402 6.8). */
  readonly rekeyWithDh: boolean;
  /**
   * Packets under one ESP SA before it must be replaced. AES-GCM keeps an attacker's advantage below 2^-57 for 2^36
   * blocks under one key ("Usage Limits on AEAD Algorithms", CFRG); 2^28 packets of 1500 bytes stay within 2^-54, and
   * the data plane stops at twice that.
   */
  readonly softPackets: number;
  /** Where the R1 generation counter starts; must grow from one start of the daemon to the next (RFC 7401 4.1.4). */
  readonly r1CounterStart: bigint;
  /** R1s a second to one underlay address on average (RFC 7401 6.7); bursts may be twice that. */
  readonly r1PerAddress: number;
}

export const DEFAULT_CONFIG: HostConfig = {
  dhGroups: [7, 8, 9, 4, 3],
  hipCiphers: [2, 4],
  hitSuites: [2, 1, 5],
  espSuites: [13, 12, 9, 8],
  udpPort: 10500,
  encryptHostId: true,
  domainIdentifier: { type: 0, value: new Uint8Array(0) },
  opportunistic: false,
  offerLsiSpi: true,
  timers: {
    retransmit: 500,
    retransmitMax: 8_000,
    exchangeComplete: 10_000,
    unusedAssociationLifetime: 15 * 60_000,
    maximumSegmentLifetime: 2 * 60_000,
    failedHold: 5_000,
    rekeyAfter: 60 * 60_000,
    r1Offered: 5 * 60_000,
    r1Remembered: 60_000,
  },
  retries: { i1: 4, i2: 4, update: 5 },
  puzzle: { idleK: 0, easyRate: 250, loadedK: 20, solveK: 24, lifetime: 37 },
  mobility: {
    pathPolicy: "preferred",
    checkRetransmit: 150,
    checkRetransmitMax: 2_000,
    search: 30_000,
    recheck: 30_000,
    hold: 5_000,
    holdMax: 5 * 60_000,
    keepalive: 15_000,
    challenge: 600,
  },
  maxAssociations: 100_000,
  maxJobs: 64,
  rekeyWithDh: true,
  softPackets: 2 ** 28,
  r1CounterStart: 0n,
  r1PerAddress: 256,
};
