/**
 * What the packets of a TUN device become on the wire: cut (TSO, USO) and put into ESP payloads; gro-reference.ts is the
 * way back. Written a second time from RFC 9293, RFC 768, RFC 8200 and the kernel's rules for GRO and GSO, slow and plain, to check
 * native/ against: every checksum is summed from scratch over the packet as it stands.
 */
import { concat } from "../src/core/bytes.ts";
import { checksum, type Pair } from "./beet-reference.ts";

/** The header before each packet of the TUN device (virtio 1.2, 5.1.6). */
export interface Virtio {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerLength: number;
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

export const NEEDS_CHECKSUM = 1;
export const GSO = { none: 0, tcp4: 1, tcp6: 4, udp: 5, ecn: 0x80 } as const;
export const PLAIN: Virtio = {
  flags: 0,
  gsoType: 0,
  headerLength: 0,
  gsoSize: 0,
  checksumStart: 0,
  checksumOffset: 0,
};

export const TCP = 6;
export const UDP = 17;
export const FLAG = {
  fin: 0x01,
  syn: 0x02,
  rst: 0x04,
  psh: 0x08,
  ack: 0x10,
  urg: 0x20,
  ece: 0x40,
  cwr: 0x80,
} as const;
export const EXTENSIONS = [0, 43, 44, 60];
const MOST_SEGMENTS = 2048;
const MOST_HEADERS = 512;
export const LARGEST = 65535;
/** Larger single packets fit no path that hipd knows. */
const LARGEST_DATAGRAM = 9600;

/** One ESP payload and what the outer header says about it. */
export interface Payload {
  readonly nextHeader: number;
  readonly bytes: Uint8Array;
  readonly trafficClass: number;
}

/** What became of a packet: "drop" stands for any counter but that of lying virtio headers. */
export type Fate = "ok" | "drop" | "drop_offload_header";

export function virtioBytes(header: Virtio): Uint8Array {
  const bytes = new Uint8Array(10);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, header.flags);
  view.setUint8(1, header.gsoType);
  view.setUint16(2, header.headerLength, true);
  view.setUint16(4, header.gsoSize, true);
  view.setUint16(6, header.checksumStart, true);
  view.setUint16(8, header.checksumOffset, true);
  return bytes;
}

interface Look {
  readonly version: 4 | 6;
  /** Length of the IPv4 header, or 40. */
  readonly base: number;
  readonly total: number;
  readonly firstHeader: number;
  /** The upper-layer protocol and where it begins, behind extension headers. */
  readonly protocol: number;
  readonly upper: number;
  readonly fragment: boolean;
  /** The upper-layer header itself is there. */
  readonly first: boolean;
  readonly sourceRoute: boolean;
}

/** Follows IPv6 extension headers; undefined when they do not fit or make no sense. */
export function walk(
  packet: Uint8Array,
  at: number,
  next: number,
): Pick<Look, "protocol" | "upper" | "fragment" | "first" | "sourceRoute"> | undefined {
  let [fragment, first, sourceRoute, fragmentHeader] = [false, true, false, false];
  for (let seen = 0; first && EXTENSIONS.includes(next); seen++) {
    if (seen === 8 || at + 8 > packet.length) return undefined;
    let length = (u8(packet, at + 1) + 1) * 8;
    if (next === 44) {
      if (fragmentHeader) return undefined;
      fragmentHeader = true;
      length = 8;
      first = (u16(packet, at + 2) & 0xfff8) === 0;
      fragment = (u16(packet, at + 2) & 0xfff9) !== 0;
    } else if (next === 43 && u8(packet, at + 3) !== 0) sourceRoute = true;
    if (at + length > packet.length) return undefined;
    next = u8(packet, at);
    at += length;
  }
  return { protocol: next, upper: at, fragment, first, sourceRoute };
}

function look(packet: Uint8Array): Look | undefined {
  const version = packet.length === 0 ? 0 : u8(packet, 0) >> 4;
  if (version === 4 && packet.length >= 20) {
    const base = (u8(packet, 0) & 15) * 4;
    const total = u16(packet, 2);
    if (base < 20 || total < base || total > packet.length) return undefined;
    const protocol = u8(packet, 9);
    const where = u16(packet, 6) & 0x1fff;
    return {
      ...{ version, base, total, firstHeader: protocol, protocol, upper: base },
      ...{ fragment: (u16(packet, 6) & 0x3fff) !== 0, first: where === 0, sourceRoute: false },
    };
  }
  if (version === 6 && packet.length >= 40) {
    const total = 40 + u16(packet, 4);
    if (total > packet.length || total > LARGEST) return undefined;
    const firstHeader = u8(packet, 6);
    const rest = walk(packet.subarray(0, total), 40, firstHeader);
    return rest && { version, base: 40, total, firstHeader, ...rest };
  }
  return undefined;
}

/** The addresses of an inner packet, as a pseudo header has them. */
function addressesOf(packet: Uint8Array, version: 4 | 6): Uint8Array {
  return version === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
}

/** RFC 9293 3.1, RFC 768, RFC 8200 8.1. */
export function pseudo(addresses: Uint8Array, protocol: number, length: number): Uint8Array {
  return addresses.length === 8
    ? concat(addresses, Uint8Array.of(0, protocol), word(length))
    : concat(addresses, word(length >>> 16), word(length), Uint8Array.of(0, 0, 0, protocol));
}

/** The same transport header and data with the checksum that belongs there. */
function summed(upper: Uint8Array, protocol: number, addresses: Uint8Array): Uint8Array {
  const at = protocol === TCP ? 16 : 6;
  const copy = upper.slice();
  copy.set(word(0), at);
  const sum = checksum(concat(pseudo(addresses, protocol, copy.length), copy));
  copy.set(word(sum === 0 && protocol === UDP ? 0xffff : sum), at);
  return copy;
}

export function isSummed(upper: Uint8Array, protocol: number, addresses: Uint8Array): boolean {
  return checksum(concat(pseudo(addresses, protocol, upper.length), upper)) === 0;
}

/**
 * What the kernel meant: the packets that would have been without offloads, complete.
 * @param addresses of the pseudo header, when they are not the packet's own.
 */
export function segment(
  header: Virtio,
  whole: Uint8Array,
  addresses?: Uint8Array,
): { readonly fate: Fate; readonly packets: readonly Uint8Array[]; readonly cut: boolean } {
  const nothing = (fate: Fate) => ({ fate, packets: [], cut: false });
  const view = look(whole);
  if (view === undefined) return nothing("drop");
  const packet = whole.slice(0, view.total);
  const alone = (): ReturnType<typeof segment> => {
    if ((header.flags & NEEDS_CHECKSUM) !== 0) {
      const field = header.checksumStart + header.checksumOffset;
      if (header.checksumStart < view.base || field + 2 > packet.length)
        return nothing("drop_offload_header");
      const sum = checksum(packet.subarray(header.checksumStart));
      packet.set(word(sum === 0 ? 0xffff : sum), field);
    }
    return { fate: "ok", packets: [packet], cut: false };
  };
  if (header.gsoType === GSO.none) return alone();
  const type = header.gsoType & ~GSO.ecn;
  const fits =
    (type === GSO.tcp4 && view.version === 4 && view.protocol === TCP) ||
    (type === GSO.tcp6 && view.version === 6 && view.protocol === TCP) ||
    (header.gsoType === GSO.udp && view.protocol === UDP);
  if (!fits || view.fragment || header.gsoSize === 0) return nothing("drop_offload_header");
  const upper = packet.subarray(view.upper);
  if (upper.length < (view.protocol === TCP ? 20 : 8)) return nothing("drop_offload_header");
  const length = view.protocol === TCP ? (u8(upper, 12) >> 4) * 4 : 8;
  if (length < 8 || (view.protocol === TCP && length < 20) || length > upper.length) {
    return nothing("drop_offload_header");
  }
  const data = upper.subarray(length);
  const count = Math.ceil(data.length / header.gsoSize);
  if (count <= 1) return alone();
  if (count > MOST_SEGMENTS || view.upper + length > MOST_HEADERS) return nothing("drop_offload_header");
  const packets = Array.from({ length: count }, (_, i) => {
    const part = data.subarray(i * header.gsoSize, (i + 1) * header.gsoSize);
    const own = concat(upper.subarray(0, length), part);
    if (view.protocol === TCP) {
      let flags = u8(own, 13);
      if (i > 0) flags &= ~FLAG.cwr;
      if (i + 1 < count) flags &= ~(FLAG.fin | FLAG.psh);
      own[13] = flags;
      own.set(long(u32(own, 4) + i * header.gsoSize), 4);
    } else own.set(word(own.length), 4);
    const base = packet.slice(0, view.upper);
    const total = base.length + own.length;
    if (view.version === 6) base.set(word(total - 40), 4);
    else {
      base.set(word(total), 2);
      base.set(word(u16(base, 4) + i), 4);
      base.set(word(0), 10);
      base.set(word(checksum(base)), 10);
    }
    return concat(base, summed(own, view.protocol, addresses ?? addressesOf(packet, view.version)));
  });
  return { fate: "ok", packets, cut: true };
}

/** RFC 1624 eqn. 3: a right checksum stays right, a wrong one wrong by as much. */
export function moved(
  upper: Uint8Array,
  protocol: number,
  from: Uint8Array,
  to: Uint8Array,
): Uint8Array | undefined {
  const at = { 6: 16, 17: 6, 33: 6, 136: 6 }[protocol];
  if (at === undefined) return upper;
  if (upper.length < at + 2) return undefined;
  const old = u16(upper, at);
  if (protocol === UDP && old === 0) return upper;
  const now = checksum(concat(word(~old & 0xffff), word(checksum(from)), word(~checksum(to) & 0xffff)));
  const copy = upper.slice();
  copy.set(word(now === 0 && (protocol === UDP || protocol === 136) ? 0xffff : now), at);
  return copy;
}

/** All that leaves for one packet of the TUN device with its header. */
export function outbound(
  header: Virtio,
  whole: Uint8Array,
  pair: Pair,
): { readonly fate: Fate; readonly payloads: readonly Payload[] } {
  const hits = concat(pair.localHit, pair.peerHit);
  const lsis = concat(pair.localLsi, pair.peerLsi);
  const { fate, packets, cut } = segment(header, whole);
  if (fate !== "ok") return { fate, payloads: [] };
  const payloads: Payload[] = [];
  for (const packet of packets) {
    const view = look(packet);
    if (view === undefined || packet.length > LARGEST_DATAGRAM) return { fate: "drop", payloads: [] };
    const six = view.version === 6;
    const own = addressesOf(packet, view.version);
    if (!same(own, six ? hits : lsis)) return { fate: "drop", payloads: [] };
    const trafficClass = six ? (u16(packet, 0) >> 4) & 0xff : u8(packet, 1);
    let upper: Uint8Array | undefined = packet.subarray(view.base);
    let nextHeader = view.firstHeader;
    if (six) {
      if (nextHeader === 94) return { fate: "drop", payloads: [] };
    } else {
      if (EXTENSIONS.includes(nextHeader) || nextHeader === 94 || nextHeader === 58 || nextHeader === 1) {
        return { fate: "drop", payloads: [] };
      }
      const where = u16(packet, 6);
      const id = u16(packet, 4);
      if (view.fragment) {
        const offset = (where & 0x1fff) * 8;
        const more = (where & 0x2000) !== 0;
        if (upper.length === 0 || offset + upper.length > LARGEST - 20) return { fate: "drop", payloads: [] };
        if (more && upper.length % 8 !== 0) return { fate: "drop", payloads: [] };
      }
      if (cut) upper = summed(upper, view.protocol, hits);
      else if (view.first && nextHeader === UDP && upper.length >= 8 && u16(upper, 6) === 0) {
        // IPv6 has no UDP without a checksum (RFC 7915 4.5).
        const said = u16(upper, 4);
        if (view.fragment || said < 8 || said > upper.length) return { fate: "drop", payloads: [] };
        upper = concat(summed(upper.subarray(0, said), UDP, hits), upper.subarray(said));
      } else if (view.first) upper = moved(upper, view.protocol, lsis, hits);
      if (upper === undefined) return { fate: "drop", payloads: [] };
      if (view.fragment) {
        upper = concat(
          Uint8Array.of(nextHeader, 0),
          word(((where & 0x1fff) << 3) | ((where >> 13) & 1)),
          word(0),
          word(id),
          upper,
        );
        nextHeader = 44;
      }
    }
    payloads.push({ nextHeader, bytes: upper, trafficClass });
  }
  return { fate: "ok", payloads };
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export function u8(bytes: Uint8Array, at: number): number {
  return bytes[at] as number;
}

export function u16(bytes: Uint8Array, at: number): number {
  return (u8(bytes, at) << 8) | u8(bytes, at + 1);
}

export function u32(bytes: Uint8Array, at: number): number {
  return u16(bytes, at) * 0x10000 + u16(bytes, at + 2);
}

export function word(value: number): Uint8Array {
  return Uint8Array.of((value >> 8) & 0xff, value & 0xff);
}

export function long(value: number): Uint8Array {
  return concat(word(value >>> 16), word(value));
}
