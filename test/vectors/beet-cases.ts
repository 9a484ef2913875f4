/** Inner packets in both families, for the translation in native/: see beet-reference.ts. */
import { concat, fromHex } from "../../src/core/bytes.ts";
import {
  type Datagram,
  type ErrorForms,
  ipv4Packet,
  ipv6Around,
  ipv6Packet,
  type Pair,
  type Upper,
  wirePayload,
} from "../beet-reference.ts";
import { type Fields, fixedBytes, vectorText } from "./vector-text.ts";

export const PAIR: Pair = {
  localHit: fromHex("2001002200112233445566778899aabb"),
  peerHit: fromHex("20010022fedcba9876543210f0e1d2c3"),
  localLsi: fromHex("c6120a01"),
  peerLsi: fromHex("c613c8fe"),
};

/** Each error that exists in both languages: RFC 7915 4.2 (to the wire) and 5.2 (from it). */
const ERRORS: readonly (readonly [name: string, forms: ErrorForms, way: "both" | "out" | "in"])[] = [
  ["net unreachable", { v4: [3, 0, 0], v6: [1, 0, 0] }, "out"],
  ["host unreachable", { v4: [3, 1, 0], v6: [1, 0, 0] }, "both"],
  ["protocol unreachable", { v4: [3, 2, 0], v6: [4, 1, 6] }, "both"],
  ["port unreachable", { v4: [3, 3, 0], v6: [1, 4, 0] }, "both"],
  ["fragmentation needed", { v4: [3, 4, 1380], v6: [2, 0, 1400] }, "both"],
  ["fragmentation needed, small", { v4: [3, 4, 600], v6: [2, 0, 1280] }, "out"],
  ["source route failed", { v4: [3, 5, 0], v6: [1, 0, 0] }, "out"],
  ["network prohibited", { v4: [3, 9, 0], v6: [1, 1, 0] }, "out"],
  ["host prohibited", { v4: [3, 10, 0], v6: [1, 1, 0] }, "both"],
  ["prohibited", { v4: [3, 13, 0], v6: [1, 1, 0] }, "out"],
  ["precedence cutoff", { v4: [3, 15, 0], v6: [1, 1, 0] }, "out"],
  ["beyond scope", { v4: [3, 1, 0], v6: [1, 2, 0] }, "in"],
  ["address unreachable", { v4: [3, 1, 0], v6: [1, 3, 0] }, "in"],
  ["huge packet too big", { v4: [3, 4, 65535], v6: [2, 0, 100000] }, "in"],
  ["tiny packet too big", { v4: [3, 4, 68], v6: [2, 0, 20] }, "in"],
  ["time exceeded", { v4: [11, 0, 0], v6: [3, 0, 0] }, "both"],
  ["reassembly time exceeded", { v4: [11, 1, 0], v6: [3, 1, 0] }, "both"],
  ["parameter problem, TTL", { v4: [12, 0, 0x08000000], v6: [4, 0, 7] }, "both"],
  ["parameter problem, protocol", { v4: [12, 0, 0x09000000], v6: [4, 0, 6] }, "both"],
  ["parameter problem, source", { v4: [12, 0, 0x0c000000], v6: [4, 0, 8] }, "both"],
  ["parameter problem, destination", { v4: [12, 0, 0x10000000], v6: [4, 0, 24] }, "both"],
  ["parameter problem, length", { v4: [12, 2, 0x02000000], v6: [4, 0, 4] }, "out"],
];

const text = (length: number, label = "data"): Uint8Array => fixedBytes(`beet ${label} ${length}`, length);

function uppers(ports: readonly [number, number]): readonly (readonly [string, Upper])[] {
  return [
    ["tcp, no data", { kind: "tcp", ports, data: text(0) }],
    ["tcp, odd", { kind: "tcp", ports, data: text(33) }],
    ["tcp, even", { kind: "tcp", ports, data: text(500) }],
    ["udp, no data", { kind: "udp", ports, data: text(0) }],
    ["udp, odd", { kind: "udp", ports, data: text(101) }],
    ["udp-lite, header", { kind: "udp-lite", ports, data: text(40), coverage: 8 }],
    ["udp-lite, part", { kind: "udp-lite", ports, data: text(41), coverage: 21 }],
    ["udp-lite, all", { kind: "udp-lite", ports, data: text(42), coverage: 0 }],
    ["dccp", { kind: "dccp", ports, data: text(25) }],
    ["sctp", { kind: "other", protocol: 132, data: text(60, "sctp") }],
    ["gre", { kind: "other", protocol: 47, data: text(31, "gre") }],
    ["esp in esp", { kind: "other", protocol: 50, data: text(48, "esp") }],
    ["empty", { kind: "other", protocol: 253, data: text(0) }],
    ["echo request", { kind: "echo", reply: false, id: 0x1234, sequence: 7, data: text(56) }],
    ["echo reply", { kind: "echo", reply: true, id: 0xffff, sequence: 0xffff, data: text(57) }],
    ["echo, no data", { kind: "echo", reply: false, id: 0, sequence: 0, data: text(0) }],
  ];
}

/** A UDP datagram whose HIT checksum comes out as zero, which is sent as ffff. */
function zeroSum(origin: Datagram["origin"], family: "hit" | "lsi"): Datagram {
  const make = (word: number): Datagram => ({
    origin,
    upper: { kind: "udp", ports: [7, 9], data: Uint8Array.of(word >> 8, word & 0xff) },
  });
  for (let word = 0; word < 0x10000; word++) {
    const datagram = make(word);
    const packet = family === "hit" ? ipv6Packet(datagram, PAIR) : ipv4Packet(datagram, PAIR);
    const at = family === "hit" ? 46 : 26;
    if (packet[at] === 0xff && packet[at + 1] === 0xff) return datagram;
  }
  throw new Error("no such datagram");
}

/** All fragments of one datagram at some sizes. */
function fragmentsOf(datagram: Datagram, sizes: readonly number[], id: number): readonly Datagram[] {
  const total = wirePayload(datagram, PAIR).payload.length;
  const parts: Datagram[] = [];
  let offset = 0;
  for (const size of [...sizes, total]) {
    const length = Math.min(size, total - offset);
    parts.push({ ...datagram, fragment: { offset, length, more: offset + length < total, id } });
    offset += length;
  }
  return parts;
}

function outbound(name: string, datagram: Datagram, family: "hit" | "lsi"): Fields {
  const { nextHeader, payload } = wirePayload(datagram, PAIR);
  const packet = family === "lsi" ? ipv4Packet(datagram, PAIR) : ipv6Packet(datagram, PAIR);
  return { name, way: "out", family, packet, "next-header": nextHeader, payload };
}

function inbound(name: string, datagram: Datagram, family: "hit" | "lsi"): Fields {
  const { nextHeader, payload } = wirePayload(datagram, PAIR);
  const shown = { ...datagram, trafficClass: 0x2e, hopLimit: 61 };
  const packet = family === "lsi" ? ipv4Packet(shown, PAIR) : ipv6Packet(shown, PAIR);
  return { name, way: "in", family, "next-header": nextHeader, payload, packet };
}

function both(name: string, local: Datagram, peer: Datagram): readonly Fields[] {
  return (["lsi", "hit"] as const).flatMap((family) => [
    outbound(name, local, family),
    inbound(name, peer, family),
  ]);
}

function errorBlocks(): readonly Fields[] {
  const blocks: Fields[] = [];
  const ports = [443, 50000] as const;
  const subjects: readonly (readonly [string, Omit<Datagram, "origin">, readonly number[]])[] = [
    [
      "tcp",
      { upper: { kind: "tcp", ports, data: text(900) }, hopLimit: 1, trafficClass: 0x10 },
      [8, 16, 18, 520],
    ],
    ["udp", { upper: { kind: "udp", ports, data: text(30) } }, [8, 38]],
    ["echo", { upper: { kind: "echo", reply: false, id: 5, sequence: 6, data: text(20) } }, [8, 28]],
    ["sctp", { upper: { kind: "other", protocol: 132, data: text(60, "sctp") } }, [8, 60]],
    [
      "later fragment",
      {
        upper: { kind: "udp", ports, data: text(800) },
        fragment: { offset: 400, length: 408, more: false, id: 77 },
      },
      [8, 100],
    ],
    [
      "first fragment",
      {
        upper: { kind: "udp", ports, data: text(800) },
        fragment: { offset: 0, length: 400, more: true, id: 78 },
      },
      [8, 100],
    ],
  ];
  for (const [subject, about, quotes] of subjects) {
    for (const quoted of quotes) {
      for (const [name, forms, way] of ERRORS) {
        // All errors about one subject, one error about all subjects.
        if (subject !== "tcp" && name !== "port unreachable") continue;
        if (subject === "tcp" && quoted !== 8 && name !== "time exceeded") continue;
        const label = `${name}, ${subject}, ${quoted}`;
        if (way !== "in") {
          const upper: Upper = { kind: "error", forms, about: { ...about, origin: "peer" }, quoted };
          blocks.push(outbound(label, { origin: "local", upper }, "lsi"));
        }
        if (way !== "out") {
          const upper: Upper = { kind: "error", forms, about: { ...about, origin: "local" }, quoted };
          blocks.push(inbound(label, { origin: "peer", upper }, "lsi"));
          blocks.push(inbound(label, { origin: "peer", upper }, "hit"));
          blocks.push(outbound(label, { origin: "local", upper: { ...upper } }, "hit"));
        }
      }
    }
  }
  return blocks;
}

function extensionBlocks(): readonly Fields[] {
  const datagram: Datagram = { origin: "peer", upper: { kind: "tcp", ports: [22, 4000], data: text(19) } };
  const { payload } = wirePayload(datagram, PAIR);
  const shown = { ...datagram, trafficClass: 0x2e, hopLimit: 61 };
  const chains: readonly (readonly [string, number, Uint8Array])[] = [
    ["hop-by-hop", 0, fromHex("0600010400000000")],
    ["destination options", 60, concat(fromHex("0601010c"), new Uint8Array(12))],
    ["hop-by-hop and destination options", 0, fromHex("3c000104000000000600010400000000")],
    ["routing without segments left", 43, fromHex("0600040000000000")],
    ["atomic fragment", 44, fromHex("0600000000001111")],
  ];
  const blocks: Fields[] = [];
  for (const [name, nextHeader, chain] of chains) {
    const carried = concat(chain, payload);
    const common = { "next-header": nextHeader, payload: carried };
    blocks.push({
      name,
      way: "in",
      family: "hit",
      ...common,
      packet: ipv6Around(nextHeader, carried, shown, PAIR),
    });
    blocks.push({ name, way: "in", family: "lsi", ...common, packet: ipv4Packet(shown, PAIR) });
  }
  // RFC 7402 B.1.7: IPv4 options of the sender, which are dropped.
  const carried = concat(fromHex("0600040001010101"), payload);
  const common = { way: "in", "next-header": 94, payload: carried };
  blocks.push({ name: "beet header", family: "lsi", ...common, packet: ipv4Packet(shown, PAIR) });
  blocks.push({ name: "beet header", family: "hit", ...common, packet: ipv6Packet(shown, PAIR) });
  return blocks;
}

function dropBlocks(): readonly Fields[] {
  const ports = [53, 53] as const;
  const udp: Upper = { kind: "udp", ports, data: text(64) };
  const local: Datagram = { origin: "local", upper: udp };
  const blocks: Fields[] = [];
  const out = (name: string, datagram: Datagram, drop: string): void => {
    blocks.push({ name, way: "out", family: "lsi", packet: ipv4Packet(datagram, PAIR), drop });
  };
  const into = (
    name: string,
    nextHeader: number,
    payload: Uint8Array,
    drop: string,
    family = "lsi",
  ): void => {
    blocks.push({ name, way: "in", family, "next-header": nextHeader, payload, drop });
  };
  const raw = (protocol: number, hex: string): Datagram => ({
    origin: "local",
    upper: { kind: "other", protocol, data: fromHex(hex) },
  });
  out("not from us", { ...local, origin: "peer" }, "drop_inner_address");
  out("strict source route", { ...local, options: fromHex("8907040102030400") }, "drop_inner_options");
  out("broken options", { ...local, options: fromHex("07400000") }, "drop_inner_header");
  const unchecked: Upper = { kind: "udp", ports, data: text(64), unchecked: true };
  out(
    "first fragment without checksum",
    { origin: "local", upper: unchecked, fragment: { offset: 0, length: 40, more: true, id: 1 } },
    "drop_fragment_zero_checksum",
  );
  out(
    "first fragment without its checksum field",
    {
      origin: "local",
      upper: { kind: "tcp", ports, data: text(64) },
      fragment: { offset: 0, length: 16, more: true, id: 1 },
    },
    "drop_fragment_bad",
  );
  out(
    "odd fragment",
    { ...local, fragment: { offset: 8, length: 13, more: true, id: 1 } },
    "drop_fragment_bad",
  );
  out(
    "fragment beyond the end",
    { ...raw(17, "00".repeat(65528)), fragment: { offset: 65512, length: 16, more: false, id: 1 } },
    "drop_fragment_bad",
  );
  const echo: Upper = { kind: "echo", reply: false, id: 1, sequence: 1, data: text(64) };
  out(
    "echo fragment",
    { origin: "local", upper: echo, fragment: { offset: 0, length: 40, more: true, id: 1 } },
    "drop_fragment_icmp",
  );
  out("timestamp", raw(1, `0d00f2ff00000000${"00".repeat(12)}`), "drop_icmp_type");
  out("redirect", raw(1, `0501fafe00000000${"00".repeat(28)}`), "drop_icmp_type");
  out("short icmp", raw(1, "0800"), "drop_inner_truncated");
  out("icmpv6 in ipv4", raw(58, "8000000000000000"), "drop_icmp_type");
  out("hop-by-hop in ipv4", raw(0, "0600010400000000"), "drop_inner_header");
  out("short tcp", raw(6, "00".repeat(17)), "drop_inner_truncated");
  out("udp of a lying length", raw(17, `00350035ffff0000${"00".repeat(8)}`), "drop_inner_header");
  const outHit = (name: string, datagram: Datagram, drop: string): void => {
    blocks.push({ name, way: "out", family: "hit", packet: ipv6Packet(datagram, PAIR), drop });
  };
  outHit("not from us", { ...local, origin: "peer" }, "drop_inner_address");
  outHit("beet header", raw(94, "0600000001010101"), "drop_inner_header");
  outHit("neighbour solicitation", raw(58, `8700000000000000${"00".repeat(16)}`), "drop_icmp_type");
  const forms: ErrorForms = { v4: [3, 3, 0], v6: [1, 4, 0] };
  const wrong: Upper = { kind: "error", forms, about: { origin: "local", upper: udp }, quoted: 8 };
  out("error about our own packet", { origin: "local", upper: wrong }, "drop_icmp_embedded");
  const nested: Upper = { kind: "error", forms, about: { origin: "local", upper: wrong }, quoted: 40 };
  const peerError = (about: Datagram): Uint8Array =>
    wirePayload({ origin: "peer", upper: { kind: "error", forms, about, quoted: 40 } }, PAIR).payload;
  into("error about an error", 58, peerError({ origin: "local", upper: nested }), "drop_icmp_embedded");
  into("error about the peer's packet", 58, peerError({ origin: "peer", upper: udp }), "drop_icmp_embedded");
  const spoiled = peerError({ origin: "local", upper: udp });
  spoiled[60] = (spoiled[60] as number) ^ 1;
  into("error with a wrong checksum", 58, spoiled, "drop_inner_checksum");
  into("router advertisement", 58, fromHex(`86000000${"00".repeat(12)}`), "drop_icmp_type", "hit");
  into("router advertisement", 58, fromHex(`86000000${"00".repeat(12)}`), "drop_icmp_type");
  into("redirect", 58, fromHex(`89000000${"00".repeat(36)}`), "drop_icmp_type", "hit");
  into("reject route", 58, fromHex(`01060000${"00".repeat(52)}`), "drop_icmp_type");
  into("icmp in ipv6", 1, fromHex("0800f7ff00000000"), "drop_icmp_type");
  into("short tcp", 6, new Uint8Array(17), "drop_inner_truncated");
  into("routing header", 43, fromHex("0600040100000000"), "drop_inner_options", "hit");
  into("routing header", 43, fromHex("0600040100000000"), "drop_inner_options");
  into("lying destination options", 60, fromHex("06ff010400000000"), "drop_inner_truncated", "hit");
  into("two fragment headers", 44, fromHex("2c000000000000010600000000000001"), "drop_inner_header");
  into("nine destination options", 60, fromHex("3c00010400000000".repeat(9)), "drop_inner_extensions");
  into("odd fragment", 44, concat(fromHex("1100000100000001"), text(13)), "drop_fragment_bad");
  into("fragment beyond the end", 44, concat(fromHex("1100fff800000001"), text(16)), "drop_fragment_bad");
  into("echo fragment", 44, concat(fromHex("3a00000100000001"), text(16)), "drop_fragment_icmp");
  into(
    "options inside a fragment",
    44,
    concat(fromHex("3c00000100000001"), fromHex("1100010400000000"), text(16)),
    "drop_inner_extensions",
  );
  into("no next header", 59, text(16), "dummy");
  return blocks;
}

export function beetVectors(): string {
  const blocks: Fields[] = [];
  for (const [i, [name, local]] of uppers([40000, 443]).entries()) {
    const peer = (uppers([443, 40000])[i] as readonly [string, Upper])[1];
    const way = { trafficClass: 0xb8, hopLimit: 17, id: 0x4242, mayFragment: i % 2 === 0 };
    blocks.push(...both(name, { origin: "local", upper: local, ...way }, { origin: "peer", upper: peer }));
  }
  const unchecked: Upper = { kind: "udp", ports: [500, 501], data: text(77), unchecked: true };
  blocks.push(outbound("udp without checksum", { origin: "local", upper: unchecked }, "lsi"));
  blocks.push(outbound("udp, checksum becomes ffff", zeroSum("local", "hit"), "lsi"));
  const zero = zeroSum("local", "hit");
  const filled: Datagram = { ...zero, upper: { ...zero.upper, unchecked: true } as Upper };
  blocks.push(outbound("udp without checksum, becomes ffff", filled, "lsi"));
  // Not allowed in IPv6, and harmless: ESP has protected it.
  const bare = ipv4Packet({ origin: "peer", upper: unchecked, trafficClass: 0x2e, hopLimit: 61 }, PAIR);
  const common = { way: "in", family: "lsi", "next-header": 17, payload: bare.subarray(20), packet: bare };
  blocks.push({ name: "udp without checksum", ...common });
  blocks.push(inbound("udp, checksum becomes ffff", zeroSum("peer", "lsi"), "lsi"));
  const options = fromHex("94040000010183070801020304000000");
  const withOptions: Datagram = {
    origin: "local",
    upper: { kind: "tcp", ports: [1, 2], data: text(10) },
    options,
  };
  blocks.push(outbound("router alert and a finished source route", withOptions, "lsi"));
  for (const [i, kind] of (["udp", "tcp"] as const).entries()) {
    const upper: Upper = { kind, ports: [6000, 6001], data: text(3000) };
    const local = fragmentsOf({ origin: "local", upper }, [1432, 1432], 0x2222 + i);
    const peer = fragmentsOf({ origin: "peer", upper }, [24, 1432, 8], 0x3333 + i);
    for (const [n, part] of local.entries())
      blocks.push(
        outbound(`${kind} fragment ${n}`, part, "lsi"),
        outbound(`${kind} fragment ${n}`, part, "hit"),
      );
    for (const [n, part] of peer.entries())
      blocks.push(
        inbound(`${kind} fragment ${n}`, part, "lsi"),
        inbound(`${kind} fragment ${n}`, part, "hit"),
      );
  }
  blocks.push(...errorBlocks(), ...extensionBlocks(), ...dropBlocks());
  return vectorText("Inner packets and what ESP carries of them.", blocks);
}
