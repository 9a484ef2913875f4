/** Streams that each try one rule of cutting or joining, and the file of all stream vectors. */
import { concat } from "../../src/core/bytes.ts";
import type { Family } from "../beet-reference.ts";
import { FLAG, GSO, NEEDS_CHECKSUM, PLAIN, TCP, UDP, word } from "../gso-reference.ts";
import {
  around,
  Dice,
  type Flow,
  finish,
  gsoBlocks,
  type Item,
  ipv4,
  streamVector,
  tcp,
  udp,
} from "./gso-cases.ts";
import { type Fields, fixedBytes, vectorText } from "./vector-text.ts";

const FAMILIES: readonly Family[] = ["hit", "lsi"];
const NEVER = new Dice(1);
NEVER.once = () => false;

type Change = (upper: Uint8Array, flow: Flow) => void;

function flowOf(protocol: typeof TCP | typeof UDP, port: number): Flow {
  return {
    ...{ protocol, ports: concat(word(port), word(80)), size: 10, sequence: 0xfffffff0, acknowledged: 7 },
    ...{ options: Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2), window: 500, trafficClass: 0xb8 },
  };
}

/** One whole packet; `change` is made before the checksum. */
function whole(flow: Flow, family: Family, length: number, change?: Change): Item {
  const data = fixedBytes(`gso ${flow.sequence}`, length);
  const upper = flow.protocol === TCP ? tcp(flow, FLAG.ack, NEVER, data) : udp(flow, data);
  flow.sequence = (flow.sequence + length) >>> 0;
  const class_ = flow.trafficClass;
  change?.(upper, flow);
  finish(upper, flow.protocol, family, false);
  const packet = around(family, flow.protocol, upper, flow.trafficClass, NEVER);
  flow.trafficClass = class_;
  return { virtio: PLAIN, packet };
}

/** Flows of five packets that are alike but for one change, in the first, the second, and so on. */
function changed(protocol: typeof TCP | typeof UDP, family: Family, change: Change): readonly Item[] {
  const items: Item[] = [];
  for (let at = 0; at < 5; at++) {
    const flow = flowOf(protocol, 1000 + at);
    for (let i = 0; i < 5; i++) items.push(whole(flow, family, 10, i === at ? change : undefined));
  }
  return items;
}

function flag(bits: number): Change {
  return (upper) => {
    upper[13] = (upper[13] as number) ^ bits;
  };
}

function byte(at: number): Change {
  return (upper) => {
    upper[at] = (upper[at] as number) ^ 1;
  };
}

function lengths(
  protocol: typeof TCP | typeof UDP,
  family: Family,
  list: readonly number[],
): readonly Item[] {
  const flow = flowOf(protocol, 1000);
  return list.map((length) => whole(flow, family, length));
}

/** A super-packet of three segments with one lie. */
function liar(protocol: typeof TCP | typeof UDP, family: Family, lie: (item: MutableItem) => void): Item {
  const flow = flowOf(protocol, 1000);
  const { packet } = whole(flow, family, 25);
  const start = family === "hit" ? 40 : 20;
  const gsoType = protocol === UDP ? GSO.udp : family === "hit" ? GSO.tcp6 : GSO.tcp4;
  const item = {
    virtio: {
      ...{ flags: NEEDS_CHECKSUM, gsoType, gsoSize: 10, headerLength: start + (protocol === TCP ? 32 : 8) },
      ...{ checksumStart: start, checksumOffset: protocol === TCP ? 16 : 6 },
    },
    packet,
    upper: start,
  };
  lie(item);
  return item;
}

interface MutableItem {
  virtio: { -readonly [name in keyof Item["virtio"]]: Item["virtio"][name] };
  packet: Uint8Array;
  readonly upper: number;
}

function lies(protocol: typeof TCP | typeof UDP, family: Family): readonly Item[] {
  const all: ((item: MutableItem) => void)[] = [() => {}];
  for (const type of [0, 1, 2, 3, 4, 5, 6, 77, 0x80, 0x81, 0x84, 0x85, 255]) {
    all.push(({ virtio }) => {
      virtio.gsoType = type;
    });
  }
  for (const size of [0, 1, 9, 24, 25, 26, 0xffff]) {
    all.push(({ virtio }) => {
      virtio.gsoSize = size;
    });
  }
  for (const gsoType of [0, undefined]) {
    for (const start of [0, 19, 20, 40, 76, 0xffff]) {
      for (const offset of [6, 16, 0xffff]) {
        all.push(({ virtio }) => {
          virtio.checksumStart = start;
          virtio.checksumOffset = offset;
          virtio.gsoType = gsoType ?? virtio.gsoType;
        });
      }
    }
  }
  for (const length of [0, 10, 0xffff]) {
    all.push(({ virtio }) => {
      virtio.headerLength = length;
    });
  }
  for (const offset of [0x00, 0x40, 0x50, 0xc0, 0xd0, 0xe0, 0xf0]) {
    all.push(({ packet, upper }) => {
      packet[upper + 12] = offset;
    });
  }
  for (const rest of [0, 3, 7, 8, 9, 19, 20, 31, 32, 33]) {
    all.push((item) => {
      const { packet, upper } = item;
      item.packet = packet.slice(0, upper + rest);
      item.packet.set(word(rest + (upper === 20 ? 20 : 0)), upper === 20 ? 2 : 4);
    });
  }
  return all.map((lie) => liar(protocol, family, lie));
}

/** Fragments that claim to be super-packets. */
function fragments(family: Family): readonly Item[] {
  const upper = udp(flowOf(UDP, 1000), fixedBytes("gso fragment", 40));
  const [gsoType, gsoSize] = [GSO.udp, 10];
  return [0, 1, 8, 9].map((word_) => {
    const offset = word_ & 8;
    const head = concat(Uint8Array.of(UDP, 0), word(word_), word(0), word(7));
    const packet =
      family === "lsi"
        ? ipv4(UDP, upper, 0, ((word_ & 1) << 13) | (offset >> 3), NEVER)
        : around(family, UDP, upper, 0, NEVER, { first: 44, bytes: head, last: 0 });
    return { virtio: { ...PLAIN, gsoType, gsoSize }, packet };
  });
}

function manyFlows(family: Family): readonly Item[] {
  const flows = Array.from({ length: 36 }, (_, i) => flowOf(i % 2 === 0 ? TCP : UDP, 1000 + i));
  return [0, 1, 2].flatMap(() => flows.map((flow) => whole(flow, family, 3)));
}

function directed(): readonly Fields[] {
  const blocks: Fields[] = [];
  const add = (name: string, family: Family, items: readonly Item[]): void => {
    blocks.push({ name, ...streamVector(items, family) });
  };
  const traffic: Change = (_, flow) => {
    flow.trafficClass ^= 1;
  };
  for (const family of FAMILIES) {
    for (const [name, bits] of Object.entries(FLAG))
      add(`flag ${name}`, family, changed(TCP, family, flag(bits)));
    // Acknowledgement, reserved bits, window, urgent pointer, a timestamp.
    for (const at of [11, 12, 15, 19, 27]) add(`TCP byte ${at}`, family, changed(TCP, family, byte(at)));
    for (const protocol of [TCP, UDP] as const) {
      add(`class ${protocol}`, family, changed(protocol, family, traffic));
      add(
        `lengths ${protocol}`,
        family,
        lengths(protocol, family, [10, 10, 9, 10, 11, 10, 10, 0, 10, 10, 1, 1, 1]),
      );
      add(
        `many ${protocol}`,
        family,
        lengths(
          protocol,
          family,
          Array.from({ length: 70 }, () => 2),
        ),
      );
      add(`lies ${protocol}`, family, lies(protocol, family));
    }
    add("UDP length", family, changed(UDP, family, byte(5)));
    add("fragments", family, fragments(family));
    add("flows", family, manyFlows(family));
  }
  return blocks;
}

export function gsoVectors(): string {
  return vectorText("Streams from TUN device to TUN device.", [
    ...directed(),
    ...gsoBlocks(1, 30, { items: 12, segment: 30, whole: 150 }),
  ]);
}
