/** Streams of packets as a TUN device gives them, with everything that TCP, UDP, IP and virtio headers may say. */
import { concat, toHex } from "../../src/core/bytes.ts";
import { checksum, type Family } from "../beet-reference.ts";
import { coalesce } from "../gro-reference.ts";
import {
  FLAG,
  GSO,
  NEEDS_CHECKSUM,
  outbound,
  type Payload,
  PLAIN,
  pseudo,
  segment,
  TCP,
  UDP,
  type Virtio,
  virtioBytes,
  word,
} from "../gso-reference.ts";
import { PAIR } from "./beet-cases.ts";
import type { Fields } from "./vector-text.ts";

/** The same association seen from the other end. */
export const OTHER = {
  localHit: PAIR.peerHit,
  peerHit: PAIR.localHit,
  localLsi: PAIR.peerLsi,
  peerLsi: PAIR.localLsi,
};

export interface Item {
  readonly virtio: Virtio;
  readonly packet: Uint8Array;
}

/** A generator with a seed: mulberry32. */
export class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  /** From `least` to `most`, both included. */
  roll(least: number, most: number): number {
    return least + (this.next() % (most - least + 1));
  }
  /** True once in `n` times. */
  once(n: number): boolean {
    return this.next() % n === 0;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.next() % list.length] as T;
  }
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.next());
  }
}

/** What a TUN device gave, what became of each, and what the other end's device is given, whole and cut. */
export function streamVector(items: readonly Item[], family: Family): Fields {
  const payloads: Payload[] = [];
  const fates: string[] = [];
  for (const { virtio, packet } of items) {
    const done = outbound(virtio, packet, PAIR);
    fates.push(done.fate);
    payloads.push(...done.payloads);
  }
  const { written, lost } = coalesce(payloads, family, OTHER);
  const cut = written.flatMap(({ virtio, packet }) => segment(virtio, packet).packets);
  const list = (packets: readonly Uint8Array[]) => packets.map(toHex).join(" ");
  return {
    family,
    packets: list(items.map(({ virtio, packet }) => concat(virtioBytes(virtio), packet))),
    fates: fates.join(" "),
    written: list(written.map(({ virtio, packet }) => concat(virtioBytes(virtio), packet))),
    lost,
    cut: list(cut),
  };
}

export interface Scale {
  readonly items: number;
  /** Data bytes of a segment, and of a super-packet, at most. */
  readonly segment: number;
  readonly whole: number;
}

export interface Flow {
  readonly protocol: typeof TCP | typeof UDP;
  readonly ports: Uint8Array;
  readonly size: number;
  readonly options: Uint8Array;
  sequence: number;
  acknowledged: number;
  window: number;
  trafficClass: number;
}

/** A stream of one family: mostly sane, with something odd now and then. */
export function randomStream(dice: Dice, family: Family, scale: Scale): readonly Item[] {
  const flows = Array.from({ length: dice.once(12) ? 40 : dice.roll(1, 3) }, () => newFlow(dice, scale));
  const items: Item[] = [];
  for (let i = dice.roll(1, scale.items); i > 0; i--) {
    items.push(dice.once(9) ? oddity(dice, family) : nextOf(dice.pick(flows), dice, family, scale));
  }
  return items;
}

function newFlow(dice: Dice, scale: Scale): Flow {
  const timestamps = concat(Uint8Array.of(1, 1, 8, 10), dice.bytes(8));
  const others = Uint8Array.from({ length: 4 * dice.roll(0, 10) }, () => 1);
  return {
    protocol: dice.pick([TCP, UDP]),
    ports: dice.bytes(4),
    size: dice.roll(1, scale.segment),
    options: dice.pick([new Uint8Array(0), timestamps, timestamps, others]),
    sequence: dice.once(3) ? 0xffffff00 : dice.next(),
    acknowledged: dice.next(),
    window: dice.roll(0, 0xffff),
    trafficClass: dice.pick([0, 0, 1, 2, 0xb8, 0x2a]),
  };
}

/** The next packet of a flow, whole or super, now and then with a fault. */
function nextOf(flow: Flow, dice: Dice, family: Family, scale: Scale): Item {
  if (dice.once(12)) flow.trafficClass = dice.roll(0, 255);
  if (dice.once(15)) flow.sequence = (flow.sequence + dice.roll(1, 5)) >>> 0; // something was lost
  if (dice.once(15)) flow.window = dice.roll(0, 0xffff);
  if (dice.once(15)) flow.acknowledged = dice.next();
  if (dice.once(15) && flow.options.length === 12) flow.options[11] = dice.roll(0, 255);
  const whole = dice.once(2);
  const many = Math.min(scale.whole, flow.size * dice.pick([2, 3, 5, 70]));
  const length = whole ? dice.roll(0, dice.once(3) ? flow.size + 1 : flow.size) : dice.roll(1, many);
  const data = dice.bytes(whole && !dice.once(4) ? flow.size : length);
  const flags = dice.once(4) ? dice.roll(0, 255) : FLAG.ack;
  const upper = flow.protocol === TCP ? tcp(flow, flags, dice, data) : udp(flow, data);
  flow.sequence = (flow.sequence + data.length) >>> 0;

  const extensions = family === "hit" && dice.once(15) ? someExtensions(dice) : undefined;
  const start = (family === "hit" ? 40 : 20) + (extensions?.bytes.length ?? 0);
  const unfinished = !whole || dice.once(3);
  const header: { -readonly [name in keyof Virtio]: Virtio[name] } = { ...PLAIN };
  finish(upper, flow.protocol, family, unfinished);
  if (unfinished) {
    header.flags = NEEDS_CHECKSUM;
    header.checksumStart = start;
    header.checksumOffset = flow.protocol === TCP ? 16 : 6;
  }
  if (!whole) {
    header.gsoSize = flow.size;
    header.headerLength = dice.once(4) ? dice.roll(0, 0xffff) : start + upper.length - data.length; // a hint
    header.gsoType = flow.protocol === UDP ? GSO.udp : family === "hit" ? GSO.tcp6 : GSO.tcp4;
    if (flow.protocol === TCP && (flags & FLAG.cwr) !== 0) header.gsoType |= GSO.ecn;
  }
  if (dice.once(12)) spoil(upper, flow.protocol, dice);
  if (dice.once(14)) lie(header, dice);
  const packet = around(family, flow.protocol, upper, flow.trafficClass, dice, extensions);
  return { virtio: header, packet: dice.once(25) ? misled(packet, dice) : packet };
}

export function tcp(flow: Flow, flags: number, dice: Dice, data: Uint8Array): Uint8Array {
  const header = concat(
    flow.ports,
    long(flow.sequence),
    long(flow.acknowledged),
    Uint8Array.of(((5 + flow.options.length / 4) << 4) | (dice.once(20) ? dice.roll(0, 15) : 0), flags),
    word(flow.window),
    word(0),
    word((flags & FLAG.urg) !== 0 || dice.once(20) ? dice.roll(0, 0xffff) : 0),
    flow.options,
  );
  return concat(header, data);
}

export function udp(flow: Flow, data: Uint8Array): Uint8Array {
  return concat(flow.ports, word(8 + data.length), word(0), data);
}

/** The checksum, or the pseudo header's sum for somebody else to finish. */
export function finish(upper: Uint8Array, protocol: number, family: Family, unfinished: boolean): void {
  const addresses =
    family === "hit" ? concat(PAIR.localHit, PAIR.peerHit) : concat(PAIR.localLsi, PAIR.peerLsi);
  const front = pseudo(addresses, protocol, upper.length);
  const sum = unfinished ? ~checksum(front) & 0xffff : checksum(concat(front, upper));
  upper.set(word(sum === 0 && protocol === UDP ? 0xffff : sum), protocol === TCP ? 16 : 6);
}

/** One thing wrong in a transport header or its data. */
function spoil(upper: Uint8Array, protocol: number, dice: Dice): void {
  const flip = (at: number, bits: number): void => {
    if (at < upper.length) upper[at] = (upper[at] as number) ^ bits;
  };
  const fault = dice.roll(0, 3);
  if (fault < 2) flip(dice.roll(0, upper.length - 1), 1 << dice.roll(0, 7));
  else if (protocol === TCP) flip(12, dice.pick([0x10, 0x30, 0x80, 0xf0]));
  else if (fault === 2) upper.set(word(0), 6);
  else upper.set(word(dice.roll(0, upper.length + 9)), 4);
}

function lie(header: { -readonly [name in keyof Virtio]: Virtio[name] }, dice: Dice): void {
  const any = (): number => dice.pick([0, 1, 7, 19, 20, 39, 40, 60, 1500, 0x7fff, 0xfff0, 0xffff]);
  const lies: readonly (() => void)[] = [
    () => (header.gsoType = dice.roll(0, 255)),
    () => (header.gsoType ^= GSO.ecn),
    () => (header.gsoSize = any()),
    () => (header.gsoSize = 0),
    () => (header.checksumStart = any()),
    () => (header.checksumOffset = any()),
    () => (header.headerLength = any()),
    () => (header.flags = dice.roll(0, 255)),
  ];
  dice.pick(lies)();
}

/** A length in the IP header that is not the packet's, or bytes behind it. */
function misled(packet: Uint8Array, dice: Dice): Uint8Array {
  if (dice.once(3)) return concat(packet, dice.bytes(dice.roll(1, 20)));
  if (dice.once(2)) return packet.subarray(0, dice.roll(0, packet.length - 1));
  const copy = packet.slice();
  const at = (copy[0] as number) >> 4 === 6 ? 4 : 2;
  copy.set(word(dice.roll(0, packet.length + 10)), at);
  return copy;
}

interface Extensions {
  readonly first: number;
  readonly bytes: Uint8Array;
  /** Where the number of the upper layer belongs. */
  readonly last: number;
}

function someExtensions(dice: Dice): Extensions {
  let bytes: Uint8Array = new Uint8Array(0);
  let [first, last] = [0, 0];
  for (let i = dice.once(20) ? 9 : dice.roll(1, 3); i > 0; i--) {
    const kind = dice.pick([0, 60, 60, 43, 44]);
    const length = kind === 44 ? 0 : dice.roll(0, 2);
    const one = new Uint8Array(8 * (length + 1));
    if (kind !== 44) one[1] = length;
    if (kind === 43) one[3] = dice.once(3) ? 1 : 0;
    if (kind === 44) one.set(dice.bytes(4), 4); // an atomic fragment
    if (bytes.length === 0) first = kind;
    else bytes[last] = kind;
    last = bytes.length;
    bytes = concat(bytes, one);
  }
  return { first, bytes, last };
}

export function around(
  family: Family,
  protocol: number,
  upper: Uint8Array,
  trafficClass: number,
  dice: Dice,
  extensions?: Extensions,
): Uint8Array {
  if (family === "hit") {
    const front = extensions?.bytes ?? new Uint8Array(0);
    if (extensions !== undefined) front[extensions.last] = protocol;
    const label = dice.roll(0, 0xffff);
    return concat(
      Uint8Array.of(0x60 | (trafficClass >> 4), (trafficClass & 15) << 4),
      word(label),
      word(front.length + upper.length),
      Uint8Array.of(extensions?.first ?? protocol, dice.roll(1, 255)),
      ...[PAIR.localHit, PAIR.peerHit, front, upper],
    );
  }
  const options = Uint8Array.from({ length: dice.once(20) ? 4 : 0 }, () => 1);
  return ipv4(protocol, upper, trafficClass, dice.once(3) ? 0 : 0x4000, dice, options);
}

export function ipv4(
  protocol: number,
  body: Uint8Array,
  trafficClass: number,
  where: number,
  dice: Dice,
  options: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const header = concat(
    Uint8Array.of(0x45 + options.length / 4, trafficClass),
    word(20 + options.length + body.length),
    word(dice.next()),
    word(where),
    Uint8Array.of(dice.roll(1, 255), protocol, 0, 0),
    ...[PAIR.localLsi, PAIR.peerLsi, options],
  );
  header.set(word(checksum(header)), 10);
  return concat(header, body);
}

/** What is neither TCP nor UDP, a fragment, or for somebody else. */
function oddity(dice: Dice, family: Family): Item {
  const trafficClass = dice.roll(0, 255);
  const flow = newFlow(dice, { items: 1, segment: 40, whole: 40 });
  const upper = udp(flow, dice.bytes(8 * dice.roll(1, 6)));
  finish(upper, UDP, family, false);
  const fragment = dice.once(2);
  const offset = dice.once(3) ? 0 : 8 * dice.pick([1, 5, 100, 8191]);
  const body = fragment && offset !== 0 ? dice.bytes(dice.roll(1, 40)) : upper;
  const more = dice.once(2) ? 1 : 0;
  const protocol = dice.pick([UDP, 47, 50, 132, 59]);
  let packet: Uint8Array;
  if (family === "lsi") {
    const where = fragment ? (more << 13) | (offset >> 3) : 0x4000;
    packet = ipv4(fragment ? UDP : protocol, body, trafficClass, where, dice);
  } else if (fragment) {
    const bytes = concat(Uint8Array.of(UDP, 0), word(offset | more), dice.bytes(4));
    packet = around(family, UDP, body, trafficClass, dice, { first: 44, bytes, last: 0 });
  } else {
    packet = around(family, protocol, body, trafficClass, dice);
  }
  if (dice.once(8)) packet[dice.pick([8, 15, 16, 19])] = dice.roll(0, 255); // somebody else's
  return { virtio: { ...PLAIN, gsoType: dice.once(10) ? GSO.udp : 0, gsoSize: 8 }, packet };
}

function long(value: number): Uint8Array {
  return concat(word(value >>> 16), word(value & 0xffff));
}

/** Streams of the kinds that a seed gives. */
export function gsoBlocks(seed: number, count: number, scale: Scale): readonly Fields[] {
  return Array.from({ length: count }, (_, i) => {
    const family = i % 2 === 0 ? "hit" : "lsi";
    return { seed: seed + i, ...streamVector(randomStream(new Dice(seed + i), family, scale), family) };
  });
}
