/** An agreement at rest says what it said before, in one piece of memory, and gives nothing of it away by accident. */
import { describe, expect, it } from "vitest";
import type { Spi } from "../../src/core/types.ts";
import { atRest, plainAgreement } from "../../src/hip/agreement.ts";
import type { Agreement } from "../../src/hip/job.ts";
import { SeededRandom } from "../support/random.ts";

const random = new SeededRandom(3);
const esp = { encryptionKey: random.bytes(20), integrityKey: random.bytes(32) };
const AGREEMENT: Agreement = {
  rhash: "sha384",
  hipCipher: 4,
  dhGroup: 8,
  espSuite: 9,
  macOut: random.bytes(48),
  macIn: random.bytes(48),
  encryptOut: random.bytes(32),
  encryptIn: random.bytes(32),
  espOut: esp,
  espIn: esp,
  kij: random.bytes(66),
  i: random.bytes(48),
  j: random.bytes(48),
  keymatIndex: 272,
  // A public key of 3072 bits: its length needs two bytes.
  dh: { group: 3, publicValue: random.bytes(384), privateKey: random.bytes(0) },
  peerPublic: random.bytes(384),
  peer: { algorithm: 5, hostIdentity: random.bytes(388) },
  peerDomain: "host.example",
  peerSpi: 0xffff_fff0 as Spi,
  peerLsiSpi: undefined,
};
const SPENT = { encryptionKey: new Uint8Array(0), integrityKey: new Uint8Array(0) };

describe("an agreement at rest", () => {
  it("says all that it said before, but for the ESP keys", () => {
    const wanted = { ...AGREEMENT, espOut: SPENT, espIn: SPENT };
    expect(plainAgreement(atRest(AGREEMENT))).toEqual(wanted);
    expect(plainAgreement(atRest(atRest(AGREEMENT)))).toEqual(wanted);
  });

  it("does not change with the bytes that it was made of, nor with those that it gave away", () => {
    const macOut = AGREEMENT.macOut.slice();
    const resting = atRest({ ...AGREEMENT, macOut });
    macOut.fill(0);
    resting.macOut.fill(0);
    expect(resting.macOut).toEqual(AGREEMENT.macOut);
  });

  it("hands out no view that would take other keys along to a worker thread", () => {
    const resting = atRest(AGREEMENT);
    for (const bytes of [resting.macIn, resting.peer.hostIdentity, resting.dh.publicValue]) {
      expect(bytes.buffer.byteLength).toBe(bytes.length);
    }
  });

  it("goes to a worker thread as a plain record only", () => {
    expect(structuredClone(plainAgreement(atRest(AGREEMENT))).kij).toEqual(AGREEMENT.kij);
    // Its accessors would be lost on the way, and its secrets stay behind.
    expect(JSON.stringify(atRest(AGREEMENT))).not.toContain("macOut");
  });
});
