/** HIP packets: fixed header and parameters (RFC 7401 5.1, 5.2.1, 5.3). No function here throws, whatever its input. */
import { concat } from "../core/bytes.ts";
import { Writer } from "../core/cursor.ts";
import { hitBytes, hitFromBytes, parseIp } from "../core/ip.ts";
import { err, type Hit, ok, type Result } from "../core/types.ts";
import type { DraftParameter, Parameter } from "./parameter.ts";
import { knownParameter } from "./registry.ts";
import { HIP_MAC_2, HIP_SIGNATURE_2, PUZZLE } from "./rfc7401.ts";

export type PacketName = "I1" | "R1" | "I2" | "R2" | "UPDATE" | "NOTIFY" | "CLOSE" | "CLOSE_ACK";

/** Packet type numbers (RFC 7401 5.3, table 11). */
export const PACKET_TYPE: Readonly<Record<PacketName, number>> = {
  I1: 1,
  R1: 2,
  I2: 3,
  R2: 4,
  UPDATE: 16,
  NOTIFY: 17,
  CLOSE: 18,
  CLOSE_ACK: 19,
};

const NAME_OF_TYPE: ReadonlyMap<number, PacketName> = new Map(
  Object.entries(PACKET_TYPE).map(([name, type]) => [type, name as PacketName]),
);

/** The one control bit: the sender's HI is anonymous (RFC 7401 5.1.2). */
export const CONTROL_ANONYMOUS = 0x0001;

export const HEADER_BYTES = 40;
/** The largest packet that Header Length can express: 2008 bytes of parameters. */
export const MAX_PACKET_BYTES = 2048;
/** More parameters in one packet are refused. No exchange needs a third of it. */
export const MAX_PARAMETERS = 64;

const PROTOCOL_HIP = 139;
const NO_NEXT_HEADER = 59;
const VERSION = 2;
const CHECKSUM_AT = 4;
const SENDER_AT = 8;
const RECEIVER_AT = 24;
const NO_BYTES = new Uint8Array(0);

/** A parameter as received, also of an unknown type. `contents` is a view of the packet. */
export interface RawParameter {
  readonly type: number;
  /** Without type, length and padding. */
  readonly contents: Uint8Array;
  /** Where its type field stands in the packet. */
  readonly offset: number;
  /** Behind its padding. */
  readonly end: number;
}

export interface Packet {
  readonly name: PacketName;
  readonly controls: number;
  readonly sender: Hit;
  readonly receiver: Hit;
  /** In the order of the packet. */
  readonly parameters: readonly RawParameter[];
  /** Types of critical parameters that are not known: such a packet must not be processed (RFC 7401 5.2.1). */
  readonly unknownCritical: readonly number[];
  /** The packet itself, without what may follow it in the datagram. */
  readonly bytes: Uint8Array;
}

/** Why bytes are not a HIP packet. Every one is a drop reason that is counted. */
export type ParseReason =
  | "short"
  | "version"
  | "header_length"
  | "packet_type"
  | "parameter_length"
  | "parameter_order"
  | "parameter_repeated"
  | "parameter_count"
  | "parameter_value";

export interface ParseError {
  readonly reason: ParseReason;
  /** Offset of the offending byte, for ICMP Parameter Problem (RFC 7401 5.4). */
  readonly pointer: number;
  /** For people: what was wrong. */
  readonly detail: string;
}

/**
 * Checks header, order, lengths and the value of each known parameter. The checksum is `checksumValid`'s. The fixed and
 * reserved bits are ignored, and bytes behind the packet too (RFC 7401 5.1). The result holds views of `bytes`.
 */
export function parse(bytes: Uint8Array): Result<Packet, ParseError> {
  if (bytes.length < HEADER_BYTES) {
    return wrong("short", 0, `${bytes.length} bytes are less than a HIP header of ${HEADER_BYTES}`);
  }
  const version = byteAt(bytes, 3) >> 4;
  if (version !== VERSION) return wrong("version", 3, `HIP version ${version} is not ${VERSION}`);
  const length = (byteAt(bytes, 1) + 1) * 8;
  if (length < HEADER_BYTES || length > bytes.length) {
    return wrong("header_length", 1, `Header Length says ${length} bytes, the datagram has ${bytes.length}`);
  }
  const type = byteAt(bytes, 2) & 0x7f;
  const name = NAME_OF_TYPE.get(type);
  if (name === undefined) return wrong("packet_type", 2, `packet type ${type} is not known`);
  const packet = bytes.subarray(0, length);
  const parameters = parseParameters(packet, HEADER_BYTES);
  if (!parameters.ok) return parameters;
  return ok({
    name,
    controls: u16At(bytes, 6),
    sender: hitFromBytes(bytes.subarray(SENDER_AT, SENDER_AT + 16)),
    receiver: hitFromBytes(bytes.subarray(RECEIVER_AT, RECEIVER_AT + 16)),
    parameters: parameters.value,
    unknownCritical: unknownCriticalTypes(parameters.value),
    bytes: packet,
  });
}

/**
 * Reads parameters from `start` to the end of `bytes`: those of a packet, or the plaintext of ENCRYPTED (start 0;
 * RFC 7401 5.2.18). Each known one is decoded once, so that `get` finds no bad value later.
 */
export function parseParameters(bytes: Uint8Array, start = 0): Result<readonly RawParameter[], ParseError> {
  const parameters: RawParameter[] = [];
  let previous = -1;
  let offset = start;
  while (offset < bytes.length) {
    const raw = tlvAt(bytes, offset);
    if (raw === undefined)
      return wrong("parameter_length", offset + 2, "a parameter reaches beyond the packet");
    const { type } = raw;
    if (type < previous) return wrong("parameter_order", offset, `type ${type} stands behind ${previous}`);
    if (parameters.length >= MAX_PARAMETERS) {
      return wrong("parameter_count", offset, `more than ${MAX_PARAMETERS} parameters`);
    }
    const known = knownParameter(type);
    if (known !== undefined) {
      if (type === previous && !known.repeats) {
        return wrong("parameter_repeated", offset, `${known.name} stands there twice`);
      }
      if (known.decode(raw.contents) === undefined) {
        return wrong("parameter_value", offset, `${known.name} has a bad value (${known.rfc})`);
      }
    }
    parameters.push(raw);
    previous = type;
    offset = raw.end;
  }
  return ok(parameters);
}

/** Types of critical parameters that are not known here. */
export function unknownCriticalTypes(parameters: readonly RawParameter[]): readonly number[] {
  return parameters
    .filter(({ type }) => (type & 1) === 1 && knownParameter(type) === undefined)
    .map(({ type }) => type);
}

/** Anything that holds parameters: a packet, or the inside of ENCRYPTED. */
export interface HasParameters {
  readonly parameters: readonly DraftParameter[];
}

/** The value of the first parameter of this kind. */
export function get<V>(packet: HasParameters, parameter: Parameter<V>): V | undefined {
  const found = packet.parameters.find(({ type }) => type === parameter.type);
  return found === undefined ? undefined : parameter.decode(found.contents);
}

/** The values of all parameters of this kind, in order. */
export function getAll<V>(packet: HasParameters, parameter: Parameter<V>): readonly V[] {
  const values: V[] = [];
  for (const { type, contents } of packet.parameters) {
    const value = type === parameter.type ? parameter.decode(contents) : undefined;
    if (value !== undefined) values.push(value);
  }
  return values;
}

/** The first parameter of this kind as it was received. */
export function raw(packet: Packet, parameter: Parameter<unknown>): RawParameter | undefined {
  return packet.parameters.find(({ type }) => type === parameter.type);
}

export function has(packet: HasParameters, parameter: Parameter<unknown>): boolean {
  return packet.parameters.some(({ type }) => type === parameter.type);
}

export interface PacketDraft {
  readonly name: PacketName;
  readonly controls?: number;
  readonly sender: Hit;
  readonly receiver: Hit;
  readonly parameters: readonly DraftParameter[];
}

/**
 * The bytes of a packet: parameters sorted by type (those of one type keep their order), padded, with Header Length and
 * without checksum. More than `MAX_PACKET_BYTES` cannot be expressed: such a result must not be sent.
 */
export function build(draft: PacketDraft): Uint8Array {
  const writer = new Writer();
  writer.u8(NO_NEXT_HEADER).u8(0).u8(PACKET_TYPE[draft.name]);
  writer
    .u8((VERSION << 4) | 1)
    .u16(0)
    .u16(draft.controls ?? 0);
  writer.bytes(hitBytes(draft.sender)).bytes(hitBytes(draft.receiver));
  for (const parameter of sorted(draft.parameters)) writeTlv(writer, parameter);
  return withHeaderLength(writer.done());
}

/**
 * A built packet with more parameters. They must not be of lower type than those that are there; among themselves they
 * are sorted. The checksum becomes zero.
 */
export function append(bytes: Uint8Array, parameters: readonly DraftParameter[]): Uint8Array {
  const writer = new Writer().bytes(bytes);
  for (const parameter of sorted(parameters)) writeTlv(writer, parameter);
  return withHeaderLength(withoutChecksum(writer.done()));
}

/** Type, length, contents and padding (RFC 7401 5.2.1). */
export function tlv(parameter: DraftParameter): Uint8Array {
  const writer = new Writer();
  writeTlv(writer, parameter);
  return writer.done();
}

/**
 * What HIP_MAC and HIP_SIGNATURE of this `type` cover (RFC 7401 6.4): the packet up to the first parameter of this type
 * or a greater one, with Header Length to match and a zero checksum. A copy.
 */
export function covered(bytes: Uint8Array, type: number): Uint8Array {
  return withHeaderLength(withoutChecksum(copyOf(bytes.subarray(0, endOfLower(bytes, type)))));
}

/** What HIP_MAC_2 covers (RFC 7401 6.4.1): also the HOST_ID of the R1, exactly as it was, counted in Header Length. */
export function coveredByMac2(bytes: Uint8Array, hostIdTlv: Uint8Array): Uint8Array {
  const end = endOfLower(bytes, HIP_MAC_2.type);
  const whole = new Uint8Array(end + hostIdTlv.length);
  whole.set(bytes.subarray(0, end));
  whole.set(hostIdTlv, end);
  return withHeaderLength(withoutChecksum(whole));
}

/** What HIP_SIGNATURE_2 covers (RFC 7401 5.2.15): the receiver's HIT and the puzzle's Opaque and I are zero. */
export function coveredBySignature2(bytes: Uint8Array): Uint8Array {
  const whole = covered(bytes, HIP_SIGNATURE_2.type);
  whole.fill(0, RECEIVER_AT, RECEIVER_AT + 16);
  for (let offset = HEADER_BYTES; offset < whole.length; ) {
    const parameter = tlvAt(whole, offset);
    if (parameter === undefined) break;
    // K and Lifetime stay.
    if (parameter.type === PUZZLE.type) parameter.contents.fill(0, 2);
    offset = parameter.end;
  }
  return whole;
}

/** The Internet checksum of a packet between two underlay addresses (RFC 7401 5.1.1); its checksum field counts as zero. */
export function checksum(bytes: Uint8Array, source: string, destination: string): number {
  const addresses = concat(parseIp(source) ?? NO_BYTES, parseIp(destination) ?? NO_BYTES);
  let sum = sumOfWords(addresses) + bytes.length + PROTOCOL_HIP + sumOfWords(bytes);
  sum -= u16At(bytes, CHECKSUM_AT);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return ~sum & 0xffff;
}

/** A copy of the packet with its checksum, for HIP without UDP. */
export function withChecksum(bytes: Uint8Array, source: string, destination: string): Uint8Array {
  const copy = copyOf(bytes);
  const value = checksum(bytes, source, destination);
  copy[CHECKSUM_AT] = value >> 8;
  copy[CHECKSUM_AT + 1] = value & 0xff;
  return copy;
}

/** Whether a packet that came from `source` carries the right checksum. Behind UDP it is zero and not checked. */
export function checksumValid(bytes: Uint8Array, source: string, destination: string): boolean {
  return bytes.length >= HEADER_BYTES && u16At(bytes, CHECKSUM_AT) === checksum(bytes, source, destination);
}

function sumOfWords(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += u16At(bytes, at);
  return bytes.length % 2 === 0 ? sum : sum + (byteAt(bytes, bytes.length - 1) << 8);
}

function sorted(parameters: readonly DraftParameter[]): readonly DraftParameter[] {
  return parameters.toSorted((a, b) => a.type - b.type);
}

function writeTlv(writer: Writer, parameter: DraftParameter): void {
  const { type, contents } = parameter;
  writer.u16(type).u16(contents.length).bytes(contents);
  writer.zeros(paddedLength(contents.length) - 4 - contents.length);
}

/** RFC 7401 5.2.1: Total Length = 11 + Length - (Length + 3) % 8. */
function paddedLength(length: number): number {
  return 11 + length - ((length + 3) % 8);
}

/** The parameter at `offset`, or undefined when it does not fit. */
function tlvAt(bytes: Uint8Array, offset: number): RawParameter | undefined {
  if (offset + 4 > bytes.length) return undefined;
  const length = u16At(bytes, offset + 2);
  const end = offset + paddedLength(length);
  if (end > bytes.length) return undefined;
  return {
    type: u16At(bytes, offset),
    contents: bytes.subarray(offset + 4, offset + 4 + length),
    offset,
    end,
  };
}

/** Where the parameters of a lower type than `type` end. */
function endOfLower(bytes: Uint8Array, type: number): number {
  let offset = HEADER_BYTES;
  while (offset < bytes.length) {
    const parameter = tlvAt(bytes, offset);
    if (parameter === undefined || parameter.type >= type) break;
    offset = parameter.end;
  }
  return Math.min(offset, bytes.length);
}

/** `slice` would not do: that of a Buffer, which is a Uint8Array too, shares its memory. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** Changes `bytes` in place. A length beyond the field is written as its greatest value. */
function withHeaderLength(bytes: Uint8Array): Uint8Array {
  bytes[1] = Math.min(255, Math.floor(bytes.length / 8) - 1);
  return bytes;
}

/** Changes `bytes` in place. */
function withoutChecksum(bytes: Uint8Array): Uint8Array {
  bytes.fill(0, CHECKSUM_AT, CHECKSUM_AT + 2);
  return bytes;
}

function byteAt(bytes: Uint8Array, offset: number): number {
  return bytes[offset] as number;
}

function u16At(bytes: Uint8Array, offset: number): number {
  return (byteAt(bytes, offset) << 8) | byteAt(bytes, offset + 1);
}

function wrong(
  reason: ParseReason,
  pointer: number,
  detail: string,
): { readonly ok: false; readonly error: ParseError } {
  return err({ reason, pointer, detail });
}
