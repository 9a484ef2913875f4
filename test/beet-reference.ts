/**
 * Inner packets as IPv4 between LSIs and as IPv6 between HITs, made from one description each and never translated:
 * what native/ must turn into one another (RFC 7402 Appendix B, RFC 7401 4.5.1, RFC 7915). Slow and plain.
 */
import { concat } from "../src/core/bytes.ts";

export interface Pair {
  readonly localHit: Uint8Array;
  readonly peerHit: Uint8Array;
  readonly localLsi: Uint8Array;
  readonly peerLsi: Uint8Array;
}

export type Family = "hit" | "lsi";
export type Origin = "local" | "peer";

/** An ICMP error in both languages; `rest` is the second word: pointer, MTU or zero. */
export interface ErrorForms {
  readonly v4: readonly [type: number, code: number, rest: number];
  readonly v6: readonly [type: number, code: number, rest: number];
}

export type Upper =
  | { readonly kind: "tcp"; readonly ports: readonly [number, number]; readonly data: Uint8Array }
  | {
      readonly kind: "udp";
      readonly ports: readonly [number, number];
      readonly data: Uint8Array;
      /** Without a checksum: IPv4 only. */
      readonly unchecked?: boolean;
    }
  | {
      readonly kind: "udp-lite";
      readonly ports: readonly [number, number];
      readonly data: Uint8Array;
      readonly coverage: number;
    }
  | { readonly kind: "dccp"; readonly ports: readonly [number, number]; readonly data: Uint8Array }
  | { readonly kind: "other"; readonly protocol: number; readonly data: Uint8Array }
  | {
      readonly kind: "echo";
      readonly reply: boolean;
      readonly id: number;
      readonly sequence: number;
      readonly data: Uint8Array;
    }
  | {
      readonly kind: "error";
      readonly forms: ErrorForms;
      readonly about: Datagram;
      /** How many bytes of the offending upper layer it quotes. */
      readonly quoted: number;
    };

export interface Datagram {
  readonly origin: Origin;
  readonly upper: Upper;
  readonly trafficClass?: number;
  readonly hopLimit?: number;
  /** IPv4 without `fragment`: identification and the cleared DF. */
  readonly id?: number;
  readonly mayFragment?: boolean;
  readonly options?: Uint8Array;
  readonly fragment?: {
    readonly offset: number;
    readonly length: number;
    readonly more: boolean;
    readonly id: number;
  };
}

export function ipv4Packet(datagram: Datagram, pair: Pair): Uint8Array {
  const { protocol, bytes } = upperLayer(datagram, pair, "lsi");
  const part = datagram.fragment;
  const body = part === undefined ? bytes : bytes.subarray(part.offset, part.offset + part.length);
  const options = datagram.options ?? new Uint8Array(0);
  const [source, destination] = addresses(datagram.origin, pair, "lsi");
  const flags =
    part === undefined
      ? datagram.mayFragment === true
        ? 0
        : 0x4000
      : (part.offset >> 3) | (part.more ? 0x2000 : 0);
  const header = concat(
    Uint8Array.of(0x45 + options.length / 4, datagram.trafficClass ?? 0),
    u16(20 + options.length + body.length),
    u16(part?.id ?? datagram.id ?? 0),
    u16(flags),
    Uint8Array.of(datagram.hopLimit ?? 64, protocol, 0, 0),
    source,
    destination,
    options,
  );
  header.set(u16(checksum(header)), 10);
  return concat(header, body);
}

/** What ESP carries: everything behind the base header. */
export function wirePayload(
  datagram: Datagram,
  pair: Pair,
): { readonly nextHeader: number; readonly payload: Uint8Array } {
  const { protocol, bytes } = upperLayer(datagram, pair, "hit");
  const part = datagram.fragment;
  if (part === undefined) return { nextHeader: protocol, payload: bytes };
  const header = concat(
    Uint8Array.of(protocol, 0),
    u16(part.offset | (part.more ? 1 : 0)),
    u16(part.id >>> 16),
    u16(part.id & 0xffff),
  );
  return { nextHeader: 44, payload: concat(header, bytes.subarray(part.offset, part.offset + part.length)) };
}

export function ipv6Packet(datagram: Datagram, pair: Pair): Uint8Array {
  const { nextHeader, payload } = wirePayload(datagram, pair);
  return ipv6Around(nextHeader, payload, datagram, pair);
}

export function ipv6Around(
  nextHeader: number,
  payload: Uint8Array,
  datagram: Pick<Datagram, "origin" | "trafficClass" | "hopLimit">,
  pair: Pair,
): Uint8Array {
  const traffic = datagram.trafficClass ?? 0;
  const [source, destination] = addresses(datagram.origin, pair, "hit");
  return concat(
    Uint8Array.of(0x60 | (traffic >> 4), (traffic & 15) << 4, 0, 0),
    u16(payload.length),
    Uint8Array.of(nextHeader, datagram.hopLimit ?? 64),
    source,
    destination,
    payload,
  );
}

function upperLayer(
  datagram: Datagram,
  pair: Pair,
  family: Family,
): { readonly protocol: number; readonly bytes: Uint8Array } {
  const upper = datagram.upper;
  const pseudo = (protocol: number, length: number): Uint8Array => {
    const [source, destination] = addresses(datagram.origin, pair, family);
    return family === "hit"
      ? concat(
          source,
          destination,
          u16(length >>> 16),
          u16(length & 0xffff),
          Uint8Array.of(0, 0, 0, protocol),
        )
      : concat(source, destination, Uint8Array.of(0, protocol), u16(length));
  };
  /** Fills in the checksum at `at`, over the first `covered` bytes. */
  const finish = (protocol: number, bytes: Uint8Array, at: number, covered = bytes.length): typeof result => {
    const sum = checksum(concat(pseudo(protocol, bytes.length), bytes.subarray(0, covered)));
    bytes.set(u16(sum === 0 && (protocol === 17 || protocol === 136) ? 0xffff : sum), at);
    return { protocol, bytes };
  };
  const result: { protocol: number; bytes: Uint8Array } = { protocol: 0, bytes: new Uint8Array(0) };
  switch (upper.kind) {
    case "tcp": {
      const header = concat(u16(upper.ports[0]), u16(upper.ports[1]), Uint8Array.of(0x11, 0x22, 0x33, 0x44));
      const rest = Uint8Array.of(0x55, 0x66, 0x77, 0x88, 0x50, 0x18, 0x20, 0x00, 0, 0, 0, 0);
      return finish(6, concat(header, rest, upper.data), 16);
    }
    case "udp": {
      const header = concat(u16(upper.ports[0]), u16(upper.ports[1]), u16(8 + upper.data.length), u16(0));
      const bytes = concat(header, upper.data);
      return upper.unchecked === true && family === "lsi" ? { protocol: 17, bytes } : finish(17, bytes, 6);
    }
    case "udp-lite": {
      const header = concat(u16(upper.ports[0]), u16(upper.ports[1]), u16(upper.coverage), u16(0));
      const bytes = concat(header, upper.data);
      return finish(136, bytes, 6, upper.coverage === 0 ? bytes.length : upper.coverage);
    }
    case "dccp": {
      const header = concat(u16(upper.ports[0]), u16(upper.ports[1]), Uint8Array.of(4, 0, 0, 0, 0, 1, 2, 3));
      return finish(33, concat(header, upper.data), 6);
    }
    case "other":
      return { protocol: upper.protocol, bytes: upper.data };
    case "echo": {
      const type = family === "hit" ? (upper.reply ? 129 : 128) : upper.reply ? 0 : 8;
      return icmp(
        concat(Uint8Array.of(type, 0, 0, 0), u16(upper.id), u16(upper.sequence), upper.data),
        family,
        pseudo,
      );
    }
    case "error": {
      const [type, code, rest] = family === "hit" ? upper.forms.v6 : upper.forms.v4;
      const whole = family === "hit" ? ipv6Packet(upper.about, pair) : ipv4Packet(upper.about, pair);
      const headers =
        family === "hit"
          ? 40 + (upper.about.fragment === undefined ? 0 : 8)
          : 20 + (upper.about.options?.length ?? 0);
      const quote = whole.subarray(0, headers + upper.quoted);
      return icmp(
        concat(Uint8Array.of(type, code, 0, 0), u16(rest >>> 16), u16(rest & 0xffff), quote),
        family,
        pseudo,
      );
    }
  }
}

function icmp(
  bytes: Uint8Array,
  family: Family,
  pseudo: (protocol: number, length: number) => Uint8Array,
): { readonly protocol: number; readonly bytes: Uint8Array } {
  const covered = family === "hit" ? concat(pseudo(58, bytes.length), bytes) : bytes;
  bytes.set(u16(checksum(covered)), 2);
  return { protocol: family === "hit" ? 58 : 1, bytes };
}

function addresses(origin: Origin, pair: Pair, family: Family): readonly [Uint8Array, Uint8Array] {
  const local = family === "hit" ? pair.localHit : pair.localLsi;
  const peer = family === "hit" ? pair.peerHit : pair.peerLsi;
  return origin === "local" ? [local, peer] : [peer, local];
}

/** RFC 1071, one word at a time. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return ~sum & 0xffff;
}

function u16(value: number): Uint8Array {
  return Uint8Array.of((value >> 8) & 0xff, value & 0xff);
}
