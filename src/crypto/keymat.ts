import type { Hit } from "../core/types.ts";
import type { EspSuiteId, HipCipher, Rhash } from "./suites.ts";
export interface KeymatInput {
  readonly rhash: Rhash;
  readonly kij: Uint8Array;
  readonly hitI: Hit;
  readonly hitR: Hit;
  readonly i: Uint8Array;
  readonly j: Uint8Array;
}
export class Keymat {
  constructor(_input: KeymatInput) {}
  get index(): number {
    throw new Error("not written yet");
  }
  draw(_length: number): Uint8Array {
    throw new Error("not written yet");
  }
}
export interface AssociationKeys {
  readonly encryptOut: Uint8Array;
  readonly macOut: Uint8Array;
  readonly encryptIn: Uint8Array;
  readonly macIn: Uint8Array;
}
export function associationKeys(
  _keymat: Keymat,
  _cipher: HipCipher,
  _rhash: Rhash,
  _localHit: Hit,
  _peerHit: Hit,
): AssociationKeys {
  throw new Error("not written yet");
}
export interface EspKey {
  readonly encryptionKey: Uint8Array;
  readonly integrityKey: Uint8Array;
}
export interface EspKeys {
  readonly outbound: EspKey;
  readonly inbound: EspKey;
}
export function espKeys(_keymat: Keymat, _suite: EspSuiteId, _localHit: Hit, _peerHit: Hit): EspKeys {
  throw new Error("not written yet");
}
