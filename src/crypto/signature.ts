import type { Packet } from "../wire/packet.ts";
import type { Identity, PublicIdentity } from "./identity.ts";
import type { Rhash } from "./suites.ts";
export function signPacket(_identity: Identity, _bytes: Uint8Array): Uint8Array {
  throw new Error("not written yet");
}
export function signR1(_identity: Identity, _bytes: Uint8Array): Uint8Array {
  throw new Error("not written yet");
}
export function signatureValid(_identity: PublicIdentity, _packet: Packet): boolean {
  throw new Error("not written yet");
}
export function r1SignatureValid(_identity: PublicIdentity, _packet: Packet): boolean {
  throw new Error("not written yet");
}
export function addMac(_bytes: Uint8Array, _rhash: Rhash, _key: Uint8Array): Uint8Array {
  throw new Error("not written yet");
}
export function addMac2(
  _bytes: Uint8Array,
  _rhash: Rhash,
  _key: Uint8Array,
  _hostIdTlv: Uint8Array,
): Uint8Array {
  throw new Error("not written yet");
}
export function macOfPacketValid(_packet: Packet, _rhash: Rhash, _key: Uint8Array): boolean {
  throw new Error("not written yet");
}
export function mac2OfPacketValid(
  _packet: Packet,
  _rhash: Rhash,
  _key: Uint8Array,
  _hostIdTlv: Uint8Array,
): boolean {
  throw new Error("not written yet");
}
