/**
 * DSCP and ECN from end to end (RFC 2983, RFC 6040). BEET mode carries no inner header, so the outer one is the only place where
 * both are: what the sender's stack wrote stands in it, and what arrives in it is what the receiver's stack sees.
 */
import { expect, it } from "vitest";
import { Capture } from "../../tools/lab/capture.ts";
import { burst } from "../../tools/lab/inject.ts";
import { espPacket, type IpPacket, TCP, UDP } from "../../tools/lab/packet.ts";
import { addressesOf, ping, sharedPair, suite } from "./support.ts";

const PORT = 4242;
const [CE, ECT0, ECT1] = [3, 2, 1];
const [EF, AF41] = [46 << 2, 34 << 2];
const COUNT = 60;
const SIZE = 1000;

function classOf({ version, bytes }: IpPacket): number {
  const [first, second] = [bytes[0] as number, bytes[1] as number];
  return version === 4 ? second : ((first & 15) << 4) | (second >> 4);
}

/** The numbers of the datagrams in a packet that may hold many, each with the packet's traffic class. */
function numbersIn(packet: IpPacket): readonly (readonly [number: number, trafficClass: number])[] {
  const { payload } = packet;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const numbers: [number, number][] = [];
  for (let at = 8; at + 4 <= payload.length; at += SIZE) numbers.push([view.getUint32(at), classOf(packet)]);
  return numbers;
}

function isData({ protocol, destinationPort }: IpPacket): boolean {
  return protocol === UDP && destinationPort === PORT;
}

for (const family of ["ipv4", "ipv6"] as const) {
  suite(`DSCP and ECN over ${family}`, () => {
    const pair = sharedPair({ family });

    /** Sends datagrams of SIZE bytes, and gives what passed the router and what the receiver's stack saw. */
    async function observe(name: string, trafficClass: number, together: number) {
      const { a, b, router } = pair();
      await ping(a.daemon.namespace, name);
      const wire = await Capture.start(router, "to-b", `src host ${a[family]} and dst port 10500`, 128);
      // No more of each packet than a super-packet has here: the capture's ring then has room for all.
      const inner = await Capture.start(b.daemon.namespace, "hip0", `udp dst port ${PORT}`, 65_535);
      await burst(a.daemon.namespace, name, PORT, { size: SIZE, count: COUNT, together, trafficClass });
      const last = (packet: IpPacket) => numbersIn(packet).some(([number]) => number === COUNT - 1);
      await inner.until((packet) => isData(packet) && last(packet), "the last datagram");
      const [outer, seen] = [await wire.stop(), await inner.stop()];
      return {
        outer: outer.filter((packet) => espPacket(packet) && packet.length > 300).map(classOf),
        packets: seen.filter(isData),
        inner: seen.filter(isData).flatMap(numbersIn),
      };
    }

    it("the outer header carries what the application's stack wrote, alone and in super-packets", async () => {
      const { a, b } = pair();
      const { lsi, hit } = await addressesOf(a, b);
      for (const name of [hit, lsi]) {
        for (const [trafficClass, together] of [
          [EF | ECT0, 20],
          [AF41 | ECT1, 1],
          [EF, 20],
          [0, 20],
        ] as const) {
          const { outer, inner } = await observe(name, trafficClass, together);
          expect(new Set(outer)).toEqual(new Set([trafficClass]));
          expect(inner.map(([number]) => number)).toEqual(Array.from({ length: COUNT }, (_, i) => i));
          expect(new Set(inner.map(([, one]) => one))).toEqual(new Set([trafficClass]));
        }
      }
    });

    it("a router's congestion mark reaches the application's stack on exactly the packets that got it", async () => {
      const { a, b, router } = pair();
      const { lsi, hit } = await addressesOf(a, b);
      const ip = family === "ipv4" ? "ip" : "ip6";
      // Cut before the router, which then decides for each datagram on its own.
      await a.daemon.namespace.ip(["link set dev eth0 gso_max_segs 1"]);
      await router.nft(`table inet congestion {
        counter marked {}
        chain forward {
          type filter hook forward priority 0;
          iifname "to-a" ${ip} ecn != not-ect meta length > 300 numgen inc mod 3 == 0 ${ip} ecn set ce counter name marked
        }
      }`);
      try {
        let before = 0;
        for (const name of [hit, lsi]) {
          const { inner, packets } = await observe(name, AF41 | ECT0, 20);
          const marked = inner.filter(([, one]) => one === (AF41 | CE)).length;
          expect(inner).toHaveLength(COUNT);
          expect(inner.filter(([, one]) => one === (AF41 | ECT0)).length).toBe(COUNT - marked);
          const text = await router.run(["nft", "-j", "list", "counter", "inet", "congestion", "marked"]);
          const total = Number(/"packets": (\d+)/.exec(text)?.[1]);
          expect(marked).toBe(total - before);
          expect(marked).toBe(COUNT / 3);
          before = total;
          // Marked and unmarked ones were never joined, and none overtook another.
          expect(inner.map(([number]) => number)).toEqual(Array.from({ length: COUNT }, (_, i) => i));
          expect(packets.length).toBeGreaterThan(COUNT / 3);
          // Who does not speak ECN is not marked.
          const plain = await observe(name, AF41, 20);
          expect(new Set(plain.inner.map(([, one]) => one))).toEqual(new Set([AF41]));
        }
      } finally {
        await router.nft("delete table inet congestion");
        await a.daemon.namespace.ip(["link set dev eth0 gso_max_segs 65535"]);
      }
    });

    it("TCP asks for ECN through the overlay without being told to, and nowhere else", async () => {
      const { a, b, router } = pair();
      const { lsi, hit } = await addressesOf(a, b);
      const [near, far] = await Promise.all([a.daemon.namespace.agent(), b.daemon.namespace.agent()]);
      for (const name of [hit, lsi, b[family]]) {
        const port = await far.serveTcp();
        const bare = name === b[family];
        const [place, device] = bare ? [router, "to-b"] : [b.daemon.namespace, "hip0"];
        const capture = await Capture.start(place, device, "tcp", 120);
        const moved = await near.sendTcp(name, port, 100_000);
        expect(moved.error).toBeUndefined();
        const packets = (await capture.stop()).filter(({ protocol }) => protocol === TCP);
        const flags = (packet: IpPacket) => packet.payload[13] as number;
        const asked = packets.filter((packet) => (flags(packet) & 0x12) === 0x02).map(flags);
        const answered = packets.filter((packet) => (flags(packet) & 0x12) === 0x12).map(flags);
        const seen = `flags by ${name} on ${device}: ${packets.slice(0, 9).map((one) => flags(one).toString(16))}`;
        // SYN with ECE and CWR, and SYN-ACK with ECE (RFC 3168 6.1.1).
        expect(new Set(asked.map((one) => one & 0xc0)), seen).toEqual(new Set([bare ? 0 : 0xc0]));
        expect(new Set(answered.map((one) => one & 0xc0)), seen).toEqual(new Set([bare ? 0 : 0x40]));
      }
    });

    it("TCP hears of congestion marks and answers them: ECE back, CWR once, and no data is lost", async () => {
      const { a, b, router } = pair();
      const { lsi, hit } = await addressesOf(a, b);
      for (const { daemon } of [a, b]) await daemon.namespace.sysctl({ "net.ipv4.tcp_ecn": 1 });
      const ip = family === "ipv4" ? "ip" : "ip6";
      await router.nft(`table inet congestion {
        chain forward {
          type filter hook forward priority 0;
          ${ip} ecn != not-ect numgen inc mod 20 == 0 ${ip} ecn set ce
        }
      }`);
      try {
        const [near, far] = await Promise.all([a.daemon.namespace.agent(), b.daemon.namespace.agent()]);
        for (const name of [hit, lsi]) {
          const port = await far.serveTcp();
          const capture = await Capture.start(b.daemon.namespace, "hip0", "tcp", 120);
          const moved = await near.sendTcp(name, port, 3_000_000);
          expect(moved.error).toBeUndefined();
          expect(moved.receivedHash).toBe(moved.sentHash);
          const packets = (await capture.stop()).filter(({ protocol }) => protocol === TCP);
          const flags = (packet: IpPacket) => packet.payload[13] as number;
          const data = packets.filter(
            (packet) => packet.destinationPort === port && (flags(packet) & 2) === 0,
          );
          const answers = packets.filter((packet) => packet.sourcePort === port && (flags(packet) & 2) === 0);
          expect(data.some((packet) => (classOf(packet) & 3) === CE)).toBe(true);
          expect(data.some((packet) => (classOf(packet) & 3) === ECT0)).toBe(true);
          expect(answers.some((packet) => (flags(packet) & 0x40) !== 0)).toBe(true);
          expect(data.some((packet) => (flags(packet) & 0x80) !== 0)).toBe(true);
        }
      } finally {
        await router.nft("delete table inet congestion");
      }
    });
  });
}
