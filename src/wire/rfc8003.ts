/** Parameters of the registration extension (RFC 8003 4). Lifetimes: 0, or 2^((value - 64) / 8) seconds. */
import { list, u8 } from "./field.ts";
import { parameter } from "./parameter.ts";

export const REG_INFO = parameter({
  type: 930,
  name: "REG_INFO",
  rfc: "RFC 8003 4.2",
  fields: { minLifetime: u8, maxLifetime: u8, regTypes: list(u8) },
});

export const REG_REQUEST = parameter({
  type: 932,
  name: "REG_REQUEST",
  rfc: "RFC 8003 4.3",
  repeats: true,
  fields: { lifetime: u8, regTypes: list(u8) },
});

export const REG_RESPONSE = parameter({
  type: 934,
  name: "REG_RESPONSE",
  rfc: "RFC 8003 4.4",
  repeats: true,
  fields: { lifetime: u8, regTypes: list(u8) },
});

export const REG_FAILED = parameter({
  type: 936,
  name: "REG_FAILED",
  rfc: "RFC 8003 4.5",
  repeats: true,
  fields: { failureType: u8, regTypes: list(u8) },
});

/** Registration types (RFC 8004 4.1, RFC 9028 5.9). */
export const REG_TYPE = { RENDEZVOUS: 1, RELAY_UDP_HIP: 2, RELAY_UDP_ESP: 3 } as const;

/** Lifetime in seconds of the 8-bit exponent encoding (RFC 8003 4.1). */
export function registrationLifetime(value: number): number {
  return value === 0 ? 0 : 2 ** ((value - 64) / 8);
}
