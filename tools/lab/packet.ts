/** What a captured frame is: addresses, protocol, ports, and the HIP or ESP packet in it. */
import { formatIp } from "../../src/core/ip.ts";
import type { Frame } from "./pcap.ts";

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ESP = 50;
export const ICMPV6 = 58;
export const HIP = 139;
/** The UDP port of HIP and ESP (RFC 9028 5.1). */
export const HIP_PORT = 10500;

const EXTENSIONS = new Set([0, 43, 44, 60]);

export interface IpPacket {
  readonly time: number;
  readonly version: 4 | 6;
  readonly source: string;
  readonly destination: string;
  /** The first header that is not an IPv6 extension. */
  readonly protocol: number;
  /** UDP and TCP ports; 0 for others and for later fragments. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** From the IP header on. */
  readonly bytes: Uint8Array;
  /** After the IP header and its extensions. */
  readonly payload: Uint8Array;
  readonly fragment: boolean;
  /** Length of the whole packet on the wire. */
  readonly length: number;
}

const LINK_ETHERNET = 1;
const LINK_RAW = 101;
const LINK_SLL2 = 276;

/** The IP packet in a frame; undefined for ARP and the like. */
export function decode(frame: Frame): IpPacket | undefined {
  const skip =
    frame.link === LINK_ETHERNET
      ? 14
      : frame.link === LINK_SLL2
        ? 20
        : frame.link === LINK_RAW
          ? 0
          : undefined;
  if (skip === undefined) throw new Error(`captures of link type ${frame.link} are not understood`);
  const bytes = frame.bytes.subarray(skip);
  const version = (bytes[0] ?? 0) >> 4;
  if (frame.link === LINK_ETHERNET) {
    const type = ((frame.bytes[12] ?? 0) << 8) | (frame.bytes[13] ?? 0);
    if (type !== 0x0800 && type !== 0x86dd) return undefined;
  }
  if (version === 4 && bytes.length >= 20) return decode4(frame, bytes);
  if (version === 6 && bytes.length >= 40) return decode6(frame, bytes);
  return undefined;
}

function decode4(frame: Frame, bytes: Uint8Array): IpPacket {
  const view = viewOf(bytes);
  const header = (view.getUint8(0) & 15) * 4;
  const flags = view.getUint16(6);
  const total = Math.min(view.getUint16(2), bytes.length);
  return assemble(frame, 4, bytes.subarray(0, total), {
    source: formatIp(bytes.slice(12, 16)),
    destination: formatIp(bytes.slice(16, 20)),
    protocol: view.getUint8(9),
    offset: header,
    fragment: (flags & 0x3fff) !== 0,
    first: (flags & 0x1fff) === 0,
    length: view.getUint16(2),
  });
}

function decode6(frame: Frame, bytes: Uint8Array): IpPacket {
  const view = viewOf(bytes);
  let protocol = view.getUint8(6);
  let offset = 40;
  let fragment = false;
  let first = true;
  while (EXTENSIONS.has(protocol) && offset + 8 <= bytes.length) {
    const next = view.getUint8(offset);
    if (protocol === 44) {
      fragment = true;
      first = (view.getUint16(offset + 2) & 0xfff8) === 0;
      offset += 8;
    } else offset += (view.getUint8(offset + 1) + 1) * 8;
    protocol = next;
    if (!first) break;
  }
  const length = view.getUint16(4) + 40;
  return assemble(frame, 6, bytes.subarray(0, Math.min(length, bytes.length)), {
    source: formatIp(bytes.slice(8, 24)),
    destination: formatIp(bytes.slice(24, 40)),
    protocol,
    offset,
    fragment,
    first,
    length,
  });
}

interface Header {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly offset: number;
  readonly fragment: boolean;
  readonly first: boolean;
  readonly length: number;
}

function assemble(frame: Frame, version: 4 | 6, bytes: Uint8Array, header: Header): IpPacket {
  const payload = bytes.subarray(header.offset);
  const ports = header.first && (header.protocol === UDP || header.protocol === TCP) && payload.length >= 4;
  const view = viewOf(payload);
  return {
    time: frame.time,
    version,
    source: header.source,
    destination: header.destination,
    protocol: header.protocol,
    sourcePort: ports ? view.getUint16(0) : 0,
    destinationPort: ports ? view.getUint16(2) : 0,
    bytes,
    payload,
    fragment: header.fragment,
    length: header.length,
  };
}

function isHipUdp(packet: IpPacket): boolean {
  return packet.protocol === UDP && (packet.sourcePort === HIP_PORT || packet.destinationPort === HIP_PORT);
}

/** The HIP packet inside, without the zero marker of RFC 9028 5.1. */
export function hipPacket(packet: IpPacket): Uint8Array | undefined {
  if (packet.protocol === HIP) return packet.payload;
  if (!isHipUdp(packet) || packet.payload.length < 12 || viewOf(packet.payload).getUint32(8) !== 0)
    return undefined;
  return packet.payload.subarray(12);
}

/** The HIP packet type: 1 I1, 2 R1, 3 I2, 4 R2, 16 UPDATE, 17 NOTIFY, 18 CLOSE, 19 CLOSE_ACK (RFC 7401 5.3). */
export function hipType(packet: IpPacket): number | undefined {
  const hip = hipPacket(packet);
  return hip === undefined || hip.length < 40 ? undefined : (hip[2] as number) & 0x7f;
}

/** The ESP packet inside, from the SPI on. */
export function espPacket(packet: IpPacket): Uint8Array | undefined {
  if (packet.protocol === ESP) return packet.payload;
  if (!isHipUdp(packet) || packet.payload.length < 16 || viewOf(packet.payload).getUint32(8) === 0)
    return undefined;
  return packet.payload.subarray(8);
}

/** Whether the packet is HIP, ESP, or a NAT keepalive. */
export function isOverlayCarrier(packet: IpPacket): boolean {
  return packet.protocol === HIP || packet.protocol === ESP || isHipUdp(packet);
}

export function includes(bytes: Uint8Array, text: string): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(text);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
