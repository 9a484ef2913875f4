/** Parameters of the base protocol (RFC 7401 5.2). */
import { counted16, type Field, firstHalf, list, rest, secondHalf, u8, u16, u32, u64 } from "./field.ts";
import { parameter, parameterOf } from "./parameter.ts";

/** To be echoed with its reserved field verbatim: put the received raw parameter into the I2, not a new one. */
export const R1_COUNTER = parameter({
  type: 129,
  name: "R1_COUNTER",
  rfc: "RFC 7401 5.2.3",
  fields: { reserved: u32, counter: u64 },
});

/** `k`: bits to solve. `lifetime`: 2^(lifetime - 32) seconds. `i`: as long as the output of RHASH. */
export const PUZZLE = parameter({
  type: 257,
  name: "PUZZLE",
  rfc: "RFC 7401 5.2.4",
  fields: { k: u8, lifetime: u8, opaque: u16, i: rest },
});

/** `i` and `j` are equally long. */
export const SOLUTION = parameter({
  type: 321,
  name: "SOLUTION",
  rfc: "RFC 7401 5.2.5",
  fields: { k: u8, reserved: u8, opaque: u16, i: firstHalf, j: secondHalf },
});

export const SEQ = parameter({
  type: 385,
  name: "SEQ",
  rfc: "RFC 7401 5.2.16",
  fields: { updateId: u32 },
});

export const ACK = parameter({
  type: 449,
  name: "ACK",
  rfc: "RFC 7401 5.2.17",
  fields: { ids: list(u32, { min: 1 }) },
});

/** In order of preference. */
export const DH_GROUP_LIST = parameter({
  type: 511,
  name: "DH_GROUP_LIST",
  rfc: "RFC 7401 5.2.6",
  fields: { groups: list(u8) },
});

export const DIFFIE_HELLMAN = parameter({
  type: 513,
  name: "DIFFIE_HELLMAN",
  rfc: "RFC 7401 5.2.7",
  fields: { group: u8, publicValue: counted16 },
});

/** More than six IDs: the first six are kept. */
export const HIP_CIPHER = parameter({
  type: 579,
  name: "HIP_CIPHER",
  rfc: "RFC 7401 5.2.8",
  fields: { ids: list(u16, { keep: 6 }) },
});

/** `body`: IV and ciphertext. */
export const ENCRYPTED = parameter({
  type: 641,
  name: "ENCRYPTED",
  rfc: "RFC 7401 5.2.18",
  fields: { reserved: u32, body: rest },
});

/** Kinds of domain identifier. */
export const DI_NONE = 0;
export const DI_FQDN = 1;
export const DI_NAI = 2;
export type DiType = typeof DI_NONE | typeof DI_FQDN | typeof DI_NAI;

export interface HostId {
  /** HI algorithm: 5 RSA, 7 ECDSA, 13 EdDSA. */
  readonly algorithm: number;
  readonly hostIdentity: Uint8Array;
  readonly diType: DiType;
  /** FQDN: in the binary form of RFC 1035 3.1. NAI: text. Empty for type 0; at most 4095 bytes. */
  readonly domainId: Uint8Array;
}

const MAX_DOMAIN_ID = 0xfff;

/** HI Length | DI-Type (4 bits), DI Length (12 bits) | Algorithm | Host Identity | Domain Identifier. */
const hostIdContents: Field<HostId> = {
  decode: (reader) => {
    const hiLength = reader.u16();
    const di = reader.u16();
    const diType = di >> 12;
    const diLength = di & MAX_DOMAIN_ID;
    const algorithm = reader.u16();
    const hostIdentity = reader.take(hiLength);
    const domainId = reader.take(diLength);
    if (diType !== DI_NONE && diType !== DI_FQDN && diType !== DI_NAI) return undefined;
    if (diType === DI_NONE && diLength !== 0) return undefined;
    return { algorithm, hostIdentity, diType, domainId };
  },
  encode: (writer, value) => {
    const domainId = value.diType === DI_NONE ? new Uint8Array(0) : value.domainId.subarray(0, MAX_DOMAIN_ID);
    writer.u16(value.hostIdentity.length).u16((value.diType << 12) | domainId.length);
    writer.u16(value.algorithm).bytes(value.hostIdentity).bytes(domainId);
  },
  shape: {
    kind: "either",
    shapes: [
      {
        kind: "struct",
        fields: {
          algorithm: u16.shape,
          hostIdentity: rest.shape,
          diType: { kind: "choice", values: [DI_NONE] },
          domainId: { kind: "bytes", min: 0, max: 0, unit: 1 },
        },
      },
      {
        kind: "struct",
        fields: {
          algorithm: u16.shape,
          hostIdentity: rest.shape,
          diType: { kind: "choice", values: [DI_FQDN, DI_NAI] },
          domainId: rest.shape,
        },
      },
    ],
  },
};

export const HOST_ID = parameterOf({ type: 705, name: "HOST_ID", rfc: "RFC 7401 5.2.9" }, hostIdContents);

/** The suite ID stands in the high nibble; a low nibble that is not zero is an error. */
const suiteId: Field<number> = {
  decode: (reader) => {
    const id = reader.u8();
    return (id & 0x0f) === 0 ? id >> 4 : undefined;
  },
  encode: (writer, value) => void writer.u8((value & 0x0f) << 4),
  shape: { kind: "number", bits: 4 },
};

/** In order of preference. `suites` holds plain suite IDs: 1, 2, 5. */
export const HIT_SUITE_LIST = parameter({
  type: 715,
  name: "HIT_SUITE_LIST",
  rfc: "RFC 7401 5.2.10",
  fields: { suites: list(suiteId) },
});

/** Certificates of a host: group, count and ID order the parts of a chain (RFC 8002 2). */
export const CERT = parameter({
  type: 768,
  name: "CERT",
  rfc: "RFC 8002 2",
  repeats: true,
  fields: { group: u8, count: u8, id: u8, certType: u8, certificate: rest },
});

/** Message types are in notification.ts. */
export const NOTIFICATION = parameter({
  type: 832,
  name: "NOTIFICATION",
  rfc: "RFC 7401 5.2.19",
  repeats: true,
  fields: { reserved: u16, messageType: u16, data: rest },
});

export const ECHO_REQUEST_SIGNED = parameter({
  type: 897,
  name: "ECHO_REQUEST_SIGNED",
  rfc: "RFC 7401 5.2.20",
  fields: { data: rest },
});

export const ECHO_RESPONSE_SIGNED = parameter({
  type: 961,
  name: "ECHO_RESPONSE_SIGNED",
  rfc: "RFC 7401 5.2.22",
  fields: { data: rest },
});

/** Parameter types of transport formats, in order of preference: 4095 is ESP_TRANSFORM. */
export const TRANSPORT_FORMAT_LIST = parameter({
  type: 2049,
  name: "TRANSPORT_FORMAT_LIST",
  rfc: "RFC 7401 5.2.11",
  fields: { formats: list(u16) },
});

export const HIP_MAC = parameter({
  type: 61505,
  name: "HIP_MAC",
  rfc: "RFC 7401 5.2.12",
  fields: { mac: rest },
});

export const HIP_MAC_2 = parameter({
  type: 61569,
  name: "HIP_MAC_2",
  rfc: "RFC 7401 5.2.13",
  fields: { mac: rest },
});

export const HIP_SIGNATURE_2 = parameter({
  type: 61633,
  name: "HIP_SIGNATURE_2",
  rfc: "RFC 7401 5.2.15",
  fields: { algorithm: u16, signature: rest },
});

export const HIP_SIGNATURE = parameter({
  type: 61697,
  name: "HIP_SIGNATURE",
  rfc: "RFC 7401 5.2.14",
  fields: { algorithm: u16, signature: rest },
});

export const ECHO_RESPONSE_UNSIGNED = parameter({
  type: 63425,
  name: "ECHO_RESPONSE_UNSIGNED",
  rfc: "RFC 7401 5.2.23",
  repeats: true,
  fields: { data: rest },
});

export const ECHO_REQUEST_UNSIGNED = parameter({
  type: 63661,
  name: "ECHO_REQUEST_UNSIGNED",
  rfc: "RFC 7401 5.2.21",
  repeats: true,
  fields: { data: rest },
});
