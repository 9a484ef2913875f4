/** LOCATOR_SET (RFC 8046 4), with the locator of NAT traversal (RFC 9028 5.7). */
import { Reader, Writer } from "../core/cursor.ts";
import { type Field, list } from "./field.ts";
import { parameter } from "./parameter.ts";

export const TRAFFIC_TYPE = { BOTH: 0, SIGNALING: 1, DATA: 2 } as const;
/** ADDRESS: 16 bytes. SPI_ADDRESS: SPI and address. TRANSPORT: port, protocol, kind, priority, SPI, address. */
export const LOCATOR_TYPE = { ADDRESS: 0, SPI_ADDRESS: 1, TRANSPORT: 2 } as const;

export interface Locator {
  readonly trafficType: number;
  readonly locatorType: number;
  readonly preferred: boolean;
  /** Seconds. */
  readonly lifetime: number;
  /** A multiple of four bytes, at most 1020. */
  readonly locator: Uint8Array;
}

/** Traffic Type | Locator Type | Locator Length (words) | Reserved, P | Lifetime | Locator. */
const locatorField: Field<Locator> = {
  decode: (reader) => {
    const trafficType = reader.u8();
    const locatorType = reader.u8();
    const words = reader.u8();
    const preferred = (reader.u8() & 1) === 1;
    const lifetime = reader.u32();
    return { trafficType, locatorType, preferred, lifetime, locator: reader.take(4 * words) };
  },
  encode: (writer, value) => {
    const words = Math.min(255, Math.floor(value.locator.length / 4));
    writer.u8(value.trafficType).u8(value.locatorType).u8(words);
    writer.u8(value.preferred ? 1 : 0).u32(value.lifetime);
    writer.bytes(value.locator.subarray(0, 4 * words));
  },
  shape: {
    kind: "struct",
    fields: {
      trafficType: { kind: "number", bits: 8 },
      locatorType: { kind: "number", bits: 8 },
      preferred: { kind: "boolean" },
      lifetime: { kind: "number", bits: 32 },
      locator: { kind: "bytes", min: 0, max: 32, unit: 4 },
    },
  },
};

/** An empty set deprecates all addresses. Each set replaces all earlier ones (RFC 8046 5.2). */
export const LOCATOR_SET = parameter({
  type: 193,
  name: "LOCATOR_SET",
  rfc: "RFC 8046 4",
  fields: { locators: list(locatorField) },
});

/** What a locator of type 0, 1 or 2 says. Parts that a type does not carry are undefined. */
export interface LocatorParts {
  /** 4 or 16 bytes; an IPv4-mapped address is given as 4. */
  readonly address: Uint8Array;
  readonly spi: number | undefined;
  readonly transport:
    | { readonly port: number; readonly protocol: number; readonly kind: number; readonly priority: number }
    | undefined;
}

/** Undefined for a type that is not known or a length that does not fit the type. */
export function locatorParts(locator: Locator): LocatorParts | undefined {
  const reader = new Reader(locator.locator);
  let transport: LocatorParts["transport"];
  let spi: number | undefined;
  if (locator.locatorType === LOCATOR_TYPE.TRANSPORT) {
    transport = { port: reader.u16(), protocol: reader.u8(), kind: reader.u8(), priority: reader.u32() };
    spi = reader.u32();
  } else if (locator.locatorType === LOCATOR_TYPE.SPI_ADDRESS) {
    spi = reader.u32();
  } else if (locator.locatorType !== LOCATOR_TYPE.ADDRESS) {
    return undefined;
  }
  const address = unmapped(reader.take(16));
  return reader.overrun || reader.remaining > 0 ? undefined : { address, spi, transport };
}

/** The `locatorType` and `locator` of a Locator; its type follows from the parts that are there. */
export function locatorOf(parts: LocatorParts): Pick<Locator, "locatorType" | "locator"> {
  const writer = new Writer();
  const { transport, spi } = parts;
  if (transport !== undefined) {
    writer.u16(transport.port).u8(transport.protocol).u8(transport.kind).u32(transport.priority);
    writer.u32(spi ?? 0);
  } else if (spi !== undefined) writer.u32(spi);
  writer.bytes(mapped(parts.address));
  const locatorType =
    transport !== undefined
      ? LOCATOR_TYPE.TRANSPORT
      : spi !== undefined
        ? LOCATOR_TYPE.SPI_ADDRESS
        : LOCATOR_TYPE.ADDRESS;
  return { locatorType, locator: writer.done() };
}

/** 16 bytes: an IPv4 address in the form ::ffff:192.0.2.1 (RFC 4291 2.5.5.2). */
export function mapped(address: Uint8Array): Uint8Array {
  if (address.length === 16) return address;
  const whole = new Uint8Array(16);
  whole.fill(0xff, 10, 12);
  whole.set(address.subarray(0, 4), 12);
  return whole;
}

/** The inverse of `mapped`: 4 bytes for an IPv4-mapped address, else the 16 bytes as they are. */
export function unmapped(address: Uint8Array): Uint8Array {
  const prefix = address.subarray(0, 12);
  const isMapped =
    address.length === 16 && prefix.every((byte, index) => byte === (index < 10 ? 0x00 : 0xff));
  return isMapped ? address.subarray(12) : address;
}
