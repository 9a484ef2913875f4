/**
 * An agreement at rest. Eleven byte strings of their own cost 4 KB of bookkeeping for 500 bytes; a host with ten thousand
 * associations keeps them one behind the other.
 */
import type { Spi } from "../core/types.ts";
import type { Rhash } from "../crypto/suites.ts";
import type { Agreement, DhPair, EspKeys, PeerIdentity } from "./job.ts";
import type { EspSuite } from "./sa.ts";

const SPENT: EspKeys = { encryptionKey: new Uint8Array(0), integrityKey: new Uint8Array(0) };

/** Our own strings: one that came from a worker thread is a copy. */
const RHASHES: readonly Rhash[] = ["sha256", "sha384", "cshake128"];

class Resting implements Agreement {
  readonly rhash: Rhash;
  readonly hipCipher: number;
  readonly dhGroup: number;
  readonly espSuite: EspSuite;
  readonly keymatIndex: number;
  readonly peerDomain: string;
  readonly peerSpi: Spi | undefined;
  readonly peerLsiSpi: Spi | undefined;
  readonly #dhGroup: number;
  readonly #algorithm: number;
  readonly #bytes: Uint8Array;

  constructor(agreement: Agreement) {
    this.rhash = RHASHES.find((one) => one === agreement.rhash) ?? agreement.rhash;
    this.hipCipher = agreement.hipCipher;
    this.dhGroup = agreement.dhGroup;
    this.espSuite = agreement.espSuite;
    this.keymatIndex = agreement.keymatIndex;
    this.peerDomain = agreement.peerDomain;
    this.peerSpi = agreement.peerSpi;
    this.peerLsiSpi = agreement.peerLsiSpi;
    const { dh, peer } = agreement;
    this.#dhGroup = dh.group;
    this.#algorithm = peer.algorithm;
    const { macOut, macIn, encryptOut, encryptIn, kij, i, j, peerPublic } = agreement;
    const keys = [macOut, macIn, encryptOut, encryptIn, kij, i, j, peerPublic];
    this.#bytes = joined([...keys, dh.publicValue, dh.privateKey, peer.hostIdentity]);
  }

  /** The data plane has the ESP keys: nothing here needs them again. */
  get espOut(): EspKeys {
    return SPENT;
  }
  get espIn(): EspKeys {
    return SPENT;
  }
  get macOut(): Uint8Array {
    return this.#part(0);
  }
  get macIn(): Uint8Array {
    return this.#part(1);
  }
  get encryptOut(): Uint8Array {
    return this.#part(2);
  }
  get encryptIn(): Uint8Array {
    return this.#part(3);
  }
  get kij(): Uint8Array {
    return this.#part(4);
  }
  get i(): Uint8Array {
    return this.#part(5);
  }
  get j(): Uint8Array {
    return this.#part(6);
  }
  get peerPublic(): Uint8Array {
    return this.#part(7);
  }
  get dh(): DhPair {
    return { group: this.#dhGroup, publicValue: this.#part(8), privateKey: this.#part(9) };
  }
  get peer(): PeerIdentity {
    return { algorithm: this.#algorithm, hostIdentity: this.#part(10) };
  }

  /** A copy: a view, given to a worker thread, would take all keys along. */
  #part(index: number): Uint8Array {
    let at = 0;
    for (let before = 0; before < index; before++) at += 2 + lengthAt(this.#bytes, at);
    return this.#bytes.slice(at + 2, at + 2 + lengthAt(this.#bytes, at));
  }
}

/** The agreement without its ESP keys, in the smallest room. Its byte strings are copies, made at each access. */
export function atRest(agreement: Agreement): Agreement {
  return new Resting(agreement);
}

/** A plain record, which may be spread, and copied to a worker thread. */
export function plainAgreement(agreement: Agreement): Agreement {
  return {
    rhash: agreement.rhash,
    hipCipher: agreement.hipCipher,
    dhGroup: agreement.dhGroup,
    espSuite: agreement.espSuite,
    macOut: agreement.macOut,
    macIn: agreement.macIn,
    encryptOut: agreement.encryptOut,
    encryptIn: agreement.encryptIn,
    espOut: agreement.espOut,
    espIn: agreement.espIn,
    kij: agreement.kij,
    i: agreement.i,
    j: agreement.j,
    keymatIndex: agreement.keymatIndex,
    dh: agreement.dh,
    peerPublic: agreement.peerPublic,
    peer: agreement.peer,
    peerDomain: agreement.peerDomain,
    peerSpi: agreement.peerSpi,
    peerLsiSpi: agreement.peerLsiSpi,
  };
}

/** Each behind its length in two bytes. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + 2 + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes[at] = part.length >> 8;
    bytes[at + 1] = part.length & 0xff;
    bytes.set(part, at + 2);
    at += 2 + part.length;
  }
  return bytes;
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
