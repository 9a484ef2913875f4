/** Parameters of NAT traversal (RFC 9028 5, RFC 5770 5). Addresses are 16 bytes; IPv4 is mapped into IPv6. */
import { fixed, list, rest, u8, u16, u32 } from "./field.ts";
import { parameter } from "./parameter.ts";

export const NAT_MODE = { UDP_ENCAPSULATION: 1, ICE_STUN_UDP: 2, ICE_HIP_UDP: 3 } as const;

/** In order of preference. More than six modes: the first six are kept. */
export const NAT_TRAVERSAL_MODE = parameter({
  type: 608,
  name: "NAT_TRAVERSAL_MODE",
  rfc: "RFC 9028 5.4",
  fields: { reserved: u16, modes: list(u16, { keep: 6 }) },
});

/** `minTa`: milliseconds. */
export const TRANSACTION_PACING = parameter({
  type: 610,
  name: "TRANSACTION_PACING",
  rfc: "RFC 9028 5.5",
  fields: { minTa: u32 },
});

/** `protocol`: 17 for UDP, 0 for plain IP (then the port is 0). */
const transportAddress = { port: u16, protocol: u8, reserved: u8, address: fixed(16) };

export const REG_FROM = parameter({
  type: 950,
  name: "REG_FROM",
  rfc: "RFC 9028 5.6",
  fields: transportAddress,
});

export const RELAY_FROM = parameter({
  type: 63998,
  name: "RELAY_FROM",
  rfc: "RFC 9028 5.6",
  repeats: true,
  fields: transportAddress,
});

export const RELAY_TO = parameter({
  type: 64002,
  name: "RELAY_TO",
  rfc: "RFC 9028 5.6",
  repeats: true,
  fields: transportAddress,
});

export const RELAYED_ADDRESS = parameter({
  type: 4650,
  name: "RELAYED_ADDRESS",
  rfc: "RFC 9028 5.12",
  repeats: true,
  fields: transportAddress,
});

export const MAPPED_ADDRESS = parameter({
  type: 4660,
  name: "MAPPED_ADDRESS",
  rfc: "RFC 9028 5.12",
  fields: transportAddress,
});

/** A forwarding rule at a data relay server. `r`: the server's side, `p`: the peer. */
export const PEER_PERMISSION = parameter({
  type: 4680,
  name: "PEER_PERMISSION",
  rfc: "RFC 9028 5.13",
  repeats: true,
  fields: {
    rPort: u16,
    pPort: u16,
    protocol: u8,
    reserved1: u8,
    reserved2: u16,
    rAddress: fixed(16),
    pAddress: fixed(16),
    outboundSpi: u32,
    inboundSpi: u32,
  },
});

export const CANDIDATE_PRIORITY = parameter({
  type: 4700,
  name: "CANDIDATE_PRIORITY",
  rfc: "RFC 9028 5.14",
  fields: { priority: u32 },
});

export const NOMINATE = parameter({
  type: 4710,
  name: "NOMINATE",
  rfc: "RFC 9028 5.15",
  fields: { reserved: u32 },
});

export const RELAY_HMAC = parameter({
  type: 65520,
  name: "RELAY_HMAC",
  rfc: "RFC 9028 5.8",
  fields: { mac: rest },
});
