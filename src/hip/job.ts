/** Heavy crypto as values: what a worker thread gets and what it gives back. All plain data that can be copied between threads. */
import type { Endpoint, Hit, Path, Spi } from "../core/types.ts";
import type { Rhash } from "../crypto/suites.ts";
import type { PacketDraft } from "../wire/packet.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import type { Locator } from "../wire/rfc8046.ts";
import type { DomainIdentifier } from "./config.ts";
import type { HipDrop } from "./drop-reasons.ts";
import type { EspSuite } from "./sa.ts";

/** A Diffie-Hellman key pair; `privateKey` never leaves the process. */
export interface DhPair {
  readonly group: number;
  readonly publicValue: Uint8Array;
  readonly privateKey: Uint8Array;
}

/** Precomputes a signed R1 (RFC 7401 6.7.1) with a fresh Diffie-Hellman key. */
export interface MakeR1 {
  readonly kind: "make-r1";
  readonly localHit: Hit;
  readonly group: number;
  readonly r1Counter: bigint;
  readonly puzzleK: number;
  readonly puzzleLifetime: number;
  readonly hipCiphers: readonly number[];
  readonly hitSuites: readonly number[];
  readonly dhGroups: readonly number[];
  readonly espSuites: readonly EspSuite[];
  readonly natTraversalModes: readonly number[];
  readonly domainIdentifier: DomainIdentifier;
  /** Whether the R1 says that HIPD_LSI_SPI is understood. */
  readonly offerLsiSpi: boolean;
}
export interface R1Made {
  readonly kind: "make-r1";
  readonly r1: Uint8Array;
  readonly dh: DhPair;
  /** The HOST_ID parameter as sent, with type, length and padding: R2's HIP_MAC_2 covers it. */
  readonly hostId: Uint8Array;
}

/** The Initiator's side of RFC 7401 6.8, from the signature check to the finished I2. */
export interface AnswerR1 {
  readonly kind: "answer-r1";
  readonly localHit: Hit;
  readonly r1: Uint8Array;
  /** The groups of the I1, in its order. */
  readonly dhGroups: readonly number[];
  readonly hipCiphers: readonly number[];
  readonly espSuites: readonly EspSuite[];
  readonly encryptHostId: boolean;
  readonly domainIdentifier: DomainIdentifier;
  readonly solveK: number;
  /** Random start of the search for #J, as long as the longest RHASH output (48 bytes). */
  readonly j: Uint8Array;
  readonly iv: Uint8Array;
  readonly spi: Spi;
  readonly lsiSpi: Spi | undefined;
  /** NAT traversal modes that we accept, in order of preference; empty on carrier "none" (RFC 9028 4.7). */
  readonly natTraversalModes: readonly number[];
}

/** The Responder's side of RFC 7401 6.9, after the puzzle was found solved. */
export interface AcceptI2 {
  readonly kind: "accept-i2";
  readonly localHit: Hit;
  readonly i2: Uint8Array;
  readonly dh: DhPair;
  readonly hostId: Uint8Array;
  readonly hipCiphers: readonly number[];
  readonly espSuites: readonly EspSuite[];
  readonly natTraversalModes: readonly number[];
  readonly spi: Spi;
  readonly lsiSpi: Spi | undefined;
  /** Where the I2 came from: the R2 says it (RFC 9028 5.12). */
  readonly path: Path;
}

/** RFC 7401 6.10. */
export interface AcceptR2 {
  readonly kind: "accept-r2";
  readonly r2: Uint8Array;
  readonly peer: PeerIdentity;
  readonly rhash: Rhash;
  readonly macKey: Uint8Array;
  /** The Responder's HOST_ID parameter exactly as R1 carried it. */
  readonly hostId: Uint8Array;
  /** For an ENCRYPTED in it. */
  readonly decrypt: { readonly cipher: number; readonly key: Uint8Array };
}

/** Checks the HIP_SIGNATURE of a packet whose HIP_MAC was already found valid. */
export interface VerifyPacket {
  readonly kind: "verify";
  readonly packet: Uint8Array;
  readonly peer: PeerIdentity;
  /** What opens an ENCRYPTED in it. */
  readonly decrypt: { readonly cipher: number; readonly key: Uint8Array };
}

/** Builds a packet, adds HIP_MAC (unless `macKey` is undefined) and HIP_SIGNATURE. */
export interface SealPacket {
  readonly kind: "seal";
  readonly localHit: Hit;
  readonly draft: PacketDraft;
  readonly rhash: Rhash;
  readonly macKey: Uint8Array | undefined;
  /** Parameters behind the signature. */
  readonly unsigned?: readonly DraftParameter[];
  /** Parameters that travel inside ENCRYPTED (RFC 7401 5.2.18). */
  readonly encrypt?: {
    readonly parameters: readonly DraftParameter[];
    readonly cipher: number;
    readonly key: Uint8Array;
    readonly iv: Uint8Array;
  };
}

/** A new Diffie-Hellman key for rekeying (RFC 7402 6.8 step 1). */
export interface MakeDh {
  readonly kind: "make-dh";
  readonly group: number;
}

/** Draws the keys of new ESP SAs, from the old KEYMAT or from one that new Diffie-Hellman keys give (RFC 7402 6.10). */
export interface RekeyJob {
  readonly kind: "rekey";
  readonly localHit: Hit;
  readonly peerHit: Hit;
  readonly agreement: Agreement;
  /** Our new key; "new": make one; undefined: the old one stays. */
  readonly dh: DhPair | "new" | undefined;
  readonly peerPublic: Uint8Array | undefined;
  readonly keymatIndex: number;
}

export type Job = MakeR1 | AnswerR1 | AcceptI2 | AcceptR2 | VerifyPacket | SealPacket | MakeDh | RekeyJob;

export interface PeerIdentity {
  readonly algorithm: number;
  readonly hostIdentity: Uint8Array;
}

/** One direction's ESP keys. */
export interface EspKeys {
  readonly encryptionKey: Uint8Array;
  readonly integrityKey: Uint8Array;
}

/** Everything that both ends share once the base exchange has its Diffie-Hellman result. Never logged. */
export interface Agreement {
  readonly rhash: Rhash;
  readonly hipCipher: number;
  readonly dhGroup: number;
  readonly espSuite: EspSuite;
  /** Key of HIP_MAC on packets that we send, and on those that we receive. */
  readonly macOut: Uint8Array;
  readonly macIn: Uint8Array;
  /** Key of ENCRYPTED on packets that we send, and on those that we receive. */
  readonly encryptOut: Uint8Array;
  readonly encryptIn: Uint8Array;
  readonly espOut: EspKeys;
  readonly espIn: EspKeys;
  /** What later keys are drawn from (RFC 7402 6.8): Kij, #I, #J and the bytes drawn so far. */
  readonly kij: Uint8Array;
  readonly i: Uint8Array;
  readonly j: Uint8Array;
  readonly keymatIndex: number;
  /** For a rekeying in which only one side has a new Diffie-Hellman key (RFC 7402 6.10 step 1). */
  readonly dh: DhPair;
  readonly peerPublic: Uint8Array;
  readonly peer: PeerIdentity;
  readonly peerDomain: string;
  /** The peer's inbound SPI, undefined until it told. */
  readonly peerSpi: Spi | undefined;
  readonly peerLsiSpi: Spi | undefined;
}

export interface I2Made {
  readonly kind: "answer-r1";
  readonly i2: Uint8Array;
  /** The Responder's HOST_ID parameter exactly as received. */
  readonly hostId: Uint8Array;
  readonly r1Counter: bigint | undefined;
  /** The second SPI, if it was offered. */
  readonly lsiSpi: Spi | undefined;
  readonly puzzleK: number;
  /** The Responder's LOCATOR_SET (RFC 8047 4.2.8). */
  readonly locators: readonly Locator[];
  readonly agreement: Agreement;
}
export interface I2Accepted {
  readonly kind: "accept-i2";
  readonly r2: Uint8Array;
  /** The Initiator's LOCATOR_SET (RFC 8047 4.2.8). */
  readonly locators: readonly Locator[];
  readonly agreement: Agreement;
}
export interface R2Accepted {
  readonly kind: "accept-r2";
  readonly peerSpi: Spi;
  readonly peerLsiSpi: Spi | undefined;
  /** Our own address as the Responder saw it, where it told. */
  readonly mapped: Endpoint | undefined;
  /** The Responder's LOCATOR_SET in R2 (RFC 8047 4.2.8). */
  readonly locators: readonly Locator[];
}
export interface PacketVerified {
  readonly kind: "verify";
  /** The parameters that ENCRYPTED held; empty where there was none. */
  readonly inside: readonly DraftParameter[];
  /** Types of critical ones among them that are not known. */
  readonly insideUnknown: readonly number[];
}
export interface PacketSealed {
  readonly kind: "seal";
  readonly bytes: Uint8Array;
}

export interface DhMade {
  readonly kind: "make-dh";
  readonly dh: DhPair;
}
export interface Rekeyed {
  readonly kind: "rekey";
  /** As before, with new ESP keys, KEYMAT and Diffie-Hellman keys. */
  readonly agreement: Agreement;
  /** The key that "new" asked for: the peer needs its public value. */
  readonly ourNewDh: DhPair | undefined;
}

/** The job found the packet wanting. `notify` is what the peer may be told (RFC 7401 5.2.19). */
export interface JobRefused {
  readonly kind: "refused";
  readonly of: Job["kind"];
  /** Counted as a drop. */
  readonly reason: HipDrop;
  readonly detail: string;
  readonly notify: { readonly messageType: number; readonly data: Uint8Array } | undefined;
  /** Of "answer-r1": the HIT suites that the Responder supports, when ours is not among them (RFC 7401 6.8 step 6). */
  readonly peerSuites?: readonly number[];
}

export type JobResult =
  | R1Made
  | I2Made
  | I2Accepted
  | R2Accepted
  | PacketVerified
  | PacketSealed
  | DhMade
  | Rekeyed
  | JobRefused;
