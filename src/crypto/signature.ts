/** HIP_MAC, HIP_MAC_2, HIP_SIGNATURE and HIP_SIGNATURE_2 of whole packets (RFC 7401 6.4). */
import { append, covered, coveredByMac2, coveredBySignature2, get, type Packet } from "../wire/packet.ts";
import { HIP_MAC, HIP_MAC_2, HIP_SIGNATURE, HIP_SIGNATURE_2 } from "../wire/rfc7401.ts";
import type { Identity, PublicIdentity } from "./identity.ts";
import { hipMac, macValid } from "./mac.ts";
import type { Rhash } from "./suites.ts";

/** A built packet with HIP_SIGNATURE behind it. Unsigned parameters are appended after this. */
export function signPacket(identity: Identity, bytes: Uint8Array): Uint8Array {
  const signature = identity.sign(covered(bytes, HIP_SIGNATURE.type));
  return append(bytes, [HIP_SIGNATURE.of({ algorithm: identity.algorithm, signature })]);
}

/** A built R1 with HIP_SIGNATURE_2: stays valid when receiver HIT, Opaque and I are filled in. */
export function signR1(identity: Identity, bytes: Uint8Array): Uint8Array {
  const signature = identity.sign(coveredBySignature2(bytes));
  return append(bytes, [HIP_SIGNATURE_2.of({ algorithm: identity.algorithm, signature })]);
}

/** False also when the packet carries no HIP_SIGNATURE. */
export function signatureValid(identity: PublicIdentity, packet: Packet): boolean {
  const found = get(packet, HIP_SIGNATURE);
  if (found === undefined) return false;
  return identity.verify(covered(packet.bytes, HIP_SIGNATURE.type), found.algorithm, found.signature);
}

/** False also when the packet carries no HIP_SIGNATURE_2. */
export function r1SignatureValid(identity: PublicIdentity, packet: Packet): boolean {
  const found = get(packet, HIP_SIGNATURE_2);
  if (found === undefined) return false;
  return identity.verify(coveredBySignature2(packet.bytes), found.algorithm, found.signature);
}

export function addMac(bytes: Uint8Array, rhash: Rhash, key: Uint8Array): Uint8Array {
  return append(bytes, [HIP_MAC.of({ mac: hipMac(rhash, key, covered(bytes, HIP_MAC.type)) })]);
}

/** `hostIdTlv`: the Responder's HOST_ID exactly as its R1 carried it, with type, length and padding. */
export function addMac2(bytes: Uint8Array, rhash: Rhash, key: Uint8Array, hostIdTlv: Uint8Array): Uint8Array {
  return append(bytes, [HIP_MAC_2.of({ mac: hipMac(rhash, key, coveredByMac2(bytes, hostIdTlv)) })]);
}

/** False also when the packet carries no HIP_MAC. */
export function macOfPacketValid(packet: Packet, rhash: Rhash, key: Uint8Array): boolean {
  const found = get(packet, HIP_MAC);
  return found !== undefined && macValid(rhash, key, covered(packet.bytes, HIP_MAC.type), found.mac);
}

/** False also when the packet carries no HIP_MAC_2. */
export function mac2OfPacketValid(
  packet: Packet,
  rhash: Rhash,
  key: Uint8Array,
  hostIdTlv: Uint8Array,
): boolean {
  const found = get(packet, HIP_MAC_2);
  return found !== undefined && macValid(rhash, key, coveredByMac2(packet.bytes, hostIdTlv), found.mac);
}
