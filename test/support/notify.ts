/** What a host told another by NOTIFY. */
import { expect } from "vitest";
import type { Identity } from "../../src/crypto/identity.ts";
import { signatureValid } from "../../src/crypto/signature.ts";
import { get, type Packet } from "../../src/wire/packet.ts";
import { NOTIFICATION } from "../../src/wire/rfc7401.ts";
import { read } from "./packets.ts";
import type { Node, Pair } from "./pair.ts";

/** The one NOTIFY that `from` sent, checked: signed by its identity. */
export function notifyOf(pair: Pair, from: Node): Packet | undefined {
  const sent = pair.flights.filter((flight) => flight.from === from && flight.name === "NOTIFY");
  expect(sent.length).toBeLessThanOrEqual(1);
  const [flight] = sent;
  if (flight === undefined) return undefined;
  const packet = read(flight.bytes);
  expect(signatureValid((from.identities[0] as Identity).publicOnly(), packet)).toBe(true);
  expect([packet.sender, packet.receiver]).toEqual([from.hit, pair.other(from).hit]);
  return packet;
}

export function told(
  packet: Packet | undefined,
): { readonly messageType: number; readonly data: Uint8Array } | "nothing" {
  return (packet && get(packet, NOTIFICATION)) ?? "nothing";
}
