/** Parameters of rendezvous servers (RFC 8004 4.2). Addresses are 16 bytes; IPv4 is mapped into IPv6. */
import { fixed, list, rest } from "./field.ts";
import { parameter } from "./parameter.ts";

/** The original source address of a relayed packet. Each relay appends one. */
export const FROM = parameter({
  type: 65498,
  name: "FROM",
  rfc: "RFC 8004 4.2.2",
  repeats: true,
  fields: { address: fixed(16) },
});

export const RVS_HMAC = parameter({
  type: 65500,
  name: "RVS_HMAC",
  rfc: "RFC 8004 4.2.1",
  fields: { mac: rest },
});

export const VIA_RVS = parameter({
  type: 65502,
  name: "VIA_RVS",
  rfc: "RFC 8004 4.2.3",
  repeats: true,
  fields: { addresses: list(fixed(16)) },
});
