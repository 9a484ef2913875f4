/**
 * What a TUN device is given for ESP payloads that arrive in a row: shown with inner headers and joined as the kernel's GRO
 * joins, so that a cut gives the same packets again. The other half of gso-reference.ts, as slow and plain.
 */
import { concat } from "../src/core/bytes.ts";
import { checksum, type Family, type Pair } from "./beet-reference.ts";
import {
  EXTENSIONS,
  FLAG,
  GSO,
  isSummed,
  LARGEST,
  long,
  moved,
  NEEDS_CHECKSUM,
  type Payload,
  PLAIN,
  pseudo,
  same,
  TCP,
  UDP,
  u8,
  u16,
  u32,
  type Virtio,
  walk,
  word,
} from "./gso-reference.ts";

const MOST_JOINED = 64;
const MOST_GROUPS = 32;

/** A packet for the TUN device. */
export interface Written {
  readonly virtio: Virtio;
  readonly packet: Uint8Array;
  /** Payloads in it. */
  readonly count: number;
}

/** One payload as the receiver's stack sees it, or undefined when it cannot be shown. */
export function present(payload: Payload, family: Family, pair: Pair): Uint8Array | undefined {
  const { nextHeader, bytes, trafficClass } = payload;
  const rest = walk(bytes, 0, nextHeader);
  if (rest === undefined || rest.sourceRoute) return undefined;
  if (family === "hit") {
    const header = Uint8Array.of(0x60 | (trafficClass >> 4), (trafficClass & 15) << 4, 0, 0);
    return concat(
      header,
      word(bytes.length),
      Uint8Array.of(nextHeader, 64),
      pair.peerHit,
      pair.localHit,
      bytes,
    );
  }
  if (EXTENSIONS.includes(rest.protocol) || rest.protocol === 1) return undefined;
  let upper: Uint8Array | undefined = bytes.subarray(rest.upper);
  let [where, id] = [0x4000, 0];
  if (rest.fragment) {
    const at = fragmentHeader(nextHeader, bytes);
    if (rest.first && rest.upper !== at + 8) return undefined;
    const said = u16(bytes, at + 2);
    const offset = said & 0xfff8;
    if (upper.length === 0 || offset + upper.length > LARGEST - 20) return undefined;
    if ((said & 1) !== 0 && upper.length % 8 !== 0) return undefined;
    where = (offset >> 3) | ((said & 1) << 13);
    id = u16(bytes, at + 6);
  }
  if (rest.first) {
    upper = moved(
      upper,
      rest.protocol,
      concat(pair.localHit, pair.peerHit),
      concat(pair.localLsi, pair.peerLsi),
    );
  }
  if (upper === undefined) return undefined;
  return concat(base4(20 + upper.length, trafficClass, id, where, rest.protocol, pair), upper);
}

function fragmentHeader(next: number, bytes: Uint8Array): number {
  let at = 0;
  for (; next !== 44; at += (u8(bytes, at + 1) + 1) * 8) next = u8(bytes, at);
  return at;
}

function base4(
  total: number,
  trafficClass: number,
  id: number,
  where: number,
  protocol: number,
  pair: Pair,
): Uint8Array {
  const header = concat(
    Uint8Array.of(0x45, trafficClass),
    word(total),
    word(id),
    word(where),
    Uint8Array.of(64, protocol, 0, 0),
    pair.peerLsi,
    pair.localLsi,
  );
  header.set(word(checksum(header)), 10);
  return header;
}

/** A packet that waits for the end of the batch. */
interface Group {
  readonly key: string;
  readonly payloads: Payload[];
  /** Nothing may follow. */
  complete: boolean;
}

/** What the TUN device is given for payloads that arrive in a row. `lost` counts those that cannot be shown. */
export function coalesce(
  arrivals: readonly Payload[],
  family: Family,
  pair: Pair,
): { readonly written: readonly Written[]; readonly lost: number } {
  const written: Written[] = [];
  const waiting: Group[] = [];
  let lost = 0;
  const leave = (count: number): void => {
    for (const { payloads } of waiting.splice(0, count)) written.push(joined(payloads, family, pair));
  };
  for (const arrival of arrivals) {
    const header = transportLength(arrival);
    // Next Header 59 means "discard" (RFC 4303 2.6).
    if (arrival.nextHeader === 59 || walk(arrival.bytes, 0, arrival.nextHeader) === undefined) {
      lost++;
      continue;
    }
    if (header === undefined) {
      // It may belong to a flow that is being collected: that leaves first.
      leave(waiting.length);
      const packet = present(arrival, family, pair);
      if (packet === undefined) lost++;
      else written.push({ virtio: PLAIN, packet, count: 1 });
      continue;
    }
    const key = `${arrival.nextHeader} ${u32(arrival.bytes, 0)}`;
    const group = waiting.find((one) => one.key === key && !one.complete);
    if (group !== undefined && joins(group.payloads, arrival, family, pair)) {
      group.payloads.push(arrival);
      group.complete = isFull(group.payloads, family);
      continue;
    }
    if (group !== undefined) group.complete = true;
    if (waiting.length === MOST_GROUPS) leave(1);
    waiting.push({ key, payloads: [arrival], complete: !mayBegin(arrival, header) });
  }
  leave(waiting.length);
  return { written, lost };
}

/** The length of a TCP or UDP header that stands right behind ESP's; undefined for everything else. */
function transportLength({ nextHeader, bytes }: Payload): number | undefined {
  if (nextHeader === UDP) return bytes.length >= 8 ? 8 : undefined;
  if (nextHeader !== TCP || bytes.length < 20) return undefined;
  const length = (u8(bytes, 12) >> 4) * 4;
  return length >= 20 && length <= bytes.length ? length : undefined;
}

function dataOf(payload: Payload): Uint8Array {
  return payload.bytes.subarray(transportLength(payload) as number);
}

/** Whether more of its flow may be joined to this packet. */
function mayBegin({ nextHeader, bytes }: Payload, header: number): boolean {
  if (bytes.length === header) return false;
  if (nextHeader === TCP)
    return (u8(bytes, 13) & (FLAG.fin | FLAG.syn | FLAG.rst | FLAG.psh | FLAG.urg)) === 0;
  return u16(bytes, 4) === bytes.length && u16(bytes, 6) !== 0;
}

function joins(group: readonly Payload[], arrival: Payload, family: Family, pair: Pair): boolean {
  const head = group[0] as Payload;
  const hits = concat(pair.localHit, pair.peerHit);
  const header = transportLength(head) as number;
  const size = dataOf(head).length;
  const data = dataOf(arrival).length;
  const before = group.reduce((sum, one) => sum + dataOf(one).length, 0);
  const base = family === "hit" ? 40 : 20;
  if (transportLength(arrival) !== header || data === 0 || data > size) return false;
  if (arrival.trafficClass !== head.trafficClass || base + header + before + data > LARGEST) return false;
  if (arrival.nextHeader === UDP) {
    if (u16(arrival.bytes, 4) !== arrival.bytes.length || u16(arrival.bytes, 6) === 0) return false;
  } else {
    if (u32(arrival.bytes, 4) !== (u32(head.bytes, 4) + before) >>> 0) return false;
    if ((u8(arrival.bytes, 13) & FLAG.cwr) !== 0) return false;
    // Everything but sequence number, checksum, FIN, PSH and CWR.
    const rest = (one: Payload): Uint8Array => {
      const copy = one.bytes.slice(0, header);
      copy.set(long(0), 4);
      copy.set(word(0), 16);
      copy[13] = u8(copy, 13) & ~(FLAG.fin | FLAG.psh | FLAG.cwr);
      return copy;
    };
    if (!same(rest(head), rest(arrival))) return false;
  }
  // Joined packets get a new checksum: a wrong one would become right.
  return isSummed(head.bytes, head.nextHeader, hits) && isSummed(arrival.bytes, arrival.nextHeader, hits);
}

/** Nothing may follow the last of these. */
function isFull(group: readonly Payload[], family: Family): boolean {
  const last = group.at(-1) as Payload;
  const size = dataOf(group[0] as Payload).length;
  const base = family === "hit" ? 40 : 20;
  const all = group.reduce((sum, one) => sum + dataOf(one).length, 0);
  if (dataOf(last).length < size || group.length === MOST_JOINED) return true;
  if (last.nextHeader === TCP && (u8(last.bytes, 13) & (FLAG.fin | FLAG.psh)) !== 0) return true;
  return base + (transportLength(last) as number) + all + size > LARGEST;
}

/** One packet, or the super-packet of many. */
function joined(group: readonly Payload[], family: Family, pair: Pair): Written {
  const head = group[0] as Payload;
  if (group.length === 1)
    return { virtio: PLAIN, packet: present(head, family, pair) as Uint8Array, count: 1 };
  const length = transportLength(head) as number;
  const upper = concat(head.bytes.subarray(0, length), ...group.map(dataOf));
  const tcp = head.nextHeader === TCP;
  const tail = (group.at(-1) as Payload).bytes;
  if (tcp) upper[13] = u8(upper, 13) | (u8(tail, 13) & (FLAG.fin | FLAG.psh));
  else upper.set(word(upper.length), 4);
  const addresses =
    family === "hit" ? concat(pair.peerHit, pair.localHit) : concat(pair.peerLsi, pair.localLsi);
  // CHECKSUM_PARTIAL: the field holds the sum of the pseudo header.
  const offset = tcp ? 16 : 6;
  upper.set(word(~checksum(pseudo(addresses, head.nextHeader, upper.length)) & 0xffff), offset);
  const base = family === "hit" ? 40 : 20;
  const type = !tcp ? GSO.udp : family === "hit" ? GSO.tcp6 : GSO.tcp4;
  const whole = { ...head, bytes: upper };
  const packet =
    family === "hit"
      ? (present(whole, family, pair) as Uint8Array)
      : concat(base4(20 + upper.length, head.trafficClass, 0, 0x4000, head.nextHeader, pair), upper);
  return {
    virtio: {
      flags: NEEDS_CHECKSUM,
      gsoType: type | (tcp && (u8(head.bytes, 13) & FLAG.cwr) !== 0 ? GSO.ecn : 0),
      headerLength: base + length,
      gsoSize: dataOf(head).length,
      checksumStart: base,
      checksumOffset: offset,
    },
    packet,
    count: group.length,
  };
}
