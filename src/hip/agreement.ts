/**
 * An agreement at rest: one flat string with a character for each byte. A `Uint8Array` costs 350 bytes of bookkeeping and a
 * piece of memory beside the heap, and there were eleven; a host with ten thousand associations keeps 500 bytes for each.
 */
import { concat } from "../core/bytes.ts";
import type { Spi } from "../core/types.ts";
import { fromLatin1, toLatin1 } from "../crypto/plain.ts";
import type { Rhash } from "../crypto/suites.ts";
import type { Agreement, DhPair, EspKeys, PeerIdentity } from "./job.ts";
import type { EspSuite } from "./sa.ts";

const SPENT: EspKeys = { encryptionKey: new Uint8Array(0), integrityKey: new Uint8Array(0) };

/** Our own strings: one that came from a worker thread is a copy. Its place here stands for it. */
const RHASHES: readonly Rhash[] = ["sha256", "sha384", "cshake128"];

/** Numbers in front of the byte strings, big-endian: offsets, and 2 or 4 bytes each. SPI 0 is none (RFC 4303 2.1). */
const AT = {
  rhash: 0,
  hipCipher: 2,
  dhGroup: 4,
  espSuite: 6,
  keymatIndex: 8,
  ownDhGroup: 10,
  algorithm: 12,
  peerSpi: 14,
  peerLsiSpi: 18,
} as const;
const NUMBERS = 22;

class Resting implements Agreement {
  readonly peerDomain: string;
  readonly #flat: string;

  constructor(agreement: Agreement) {
    this.peerDomain = agreement.peerDomain;
    const { macOut, macIn, encryptOut, encryptIn, kij, i, j, peerPublic, dh, peer } = agreement;
    const keys = [macOut, macIn, encryptOut, encryptIn, kij, i, j, peerPublic];
    const strings = [...keys, dh.publicValue, dh.privateKey, peer.hostIdentity];
    this.#flat = toLatin1(concat(numbers(agreement), ...strings.map(behindLength)));
  }

  get rhash(): Rhash {
    return RHASHES[this.#number(AT.rhash)] as Rhash;
  }
  get hipCipher(): number {
    return this.#number(AT.hipCipher);
  }
  get dhGroup(): number {
    return this.#number(AT.dhGroup);
  }
  get espSuite(): EspSuite {
    return this.#number(AT.espSuite) as EspSuite;
  }
  get keymatIndex(): number {
    return this.#number(AT.keymatIndex);
  }
  get peerSpi(): Spi | undefined {
    return this.#spi(AT.peerSpi);
  }
  get peerLsiSpi(): Spi | undefined {
    return this.#spi(AT.peerLsiSpi);
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
    return { group: this.#number(AT.ownDhGroup), publicValue: this.#part(8), privateKey: this.#part(9) };
  }
  get peer(): PeerIdentity {
    return { algorithm: this.#number(AT.algorithm), hostIdentity: this.#part(10) };
  }

  #number(at: number): number {
    return (this.#flat.charCodeAt(at) << 8) | this.#flat.charCodeAt(at + 1);
  }

  #spi(at: number): Spi | undefined {
    const spi = this.#number(at) * 0x1_0000 + this.#number(at + 2);
    return spi === 0 ? undefined : (spi as Spi);
  }

  #part(index: number): Uint8Array {
    let at = NUMBERS;
    for (let before = 0; before < index; before++) at += 2 + this.#number(at);
    return fromLatin1(this.#flat.slice(at + 2, at + 2 + this.#number(at)));
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

function numbers(agreement: Agreement): Uint8Array {
  const bytes = new Uint8Array(NUMBERS);
  const view = new DataView(bytes.buffer);
  view.setUint16(AT.rhash, RHASHES.indexOf(agreement.rhash));
  view.setUint16(AT.hipCipher, agreement.hipCipher);
  view.setUint16(AT.dhGroup, agreement.dhGroup);
  view.setUint16(AT.espSuite, agreement.espSuite);
  view.setUint16(AT.keymatIndex, agreement.keymatIndex);
  view.setUint16(AT.ownDhGroup, agreement.dh.group);
  view.setUint16(AT.algorithm, agreement.peer.algorithm);
  view.setUint32(AT.peerSpi, agreement.peerSpi ?? 0);
  view.setUint32(AT.peerLsiSpi, agreement.peerLsiSpi ?? 0);
  return bytes;
}

/** The length in two bytes, then the bytes. */
function behindLength(part: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(part.length >> 8, part.length & 0xff), part);
}
