/**
 * What applications behind the receiving host see, whichever offloads both data planes use. The receiver forwards from the
 * overlay's interface to an application in a namespace of its own, over a cable without offloads: the kernel must cut every
 * super-packet there and finish every checksum, so that a capture shows all packets as they would be on a wire.
 */
import { expect, it } from "vitest";
import { concat } from "../../src/core/bytes.ts";
import { formatHit } from "../../src/core/ip.ts";
import { Capture } from "../../tools/lab/capture.ts";
import { burst } from "../../tools/lab/inject.ts";
import { Lab, type Namespace, routedPair } from "../../tools/lab/lab.ts";
import { type IpPacket, TCP, UDP } from "../../tools/lab/packet.ts";
import { checksum } from "../beet-reference.ts";
import { associate, dissociate, NAMES, PlaneHost } from "./plane-client.ts";
import type { PlaneHostOptions } from "./plane-host.ts";
import { suite } from "./support.ts";

type Offloads = NonNullable<PlaneHostOptions["offloads"]>;

/** Each way of using them that there is: USO needs TSO. */
const WAYS: readonly Offloads[] = [
  ["tso", "uso", "gso", "gro"],
  ["tso", "gso", "gro"],
  ["tso", "uso", "gro"],
  ["tso", "uso", "gso"],
  ["gso", "gro"],
  ["tso", "uso"],
  ["gso"],
  ["gro"],
  [],
];
const BYTES = 800_000;
const PORT = 4242;

/** Makes the host's own names those of a namespace behind it. */
async function moveNames(lab: Lab, host: PlaneHost): Promise<Namespace> {
  const app = await lab.namespace("app");
  const here = host.host.namespace;
  await lab.link(
    { namespace: here, device: "to-app", addresses: ["10.9.9.1/30", "fd00::1/64"] },
    { namespace: app, device: "eth0", addresses: ["10.9.9.2/30", "fd00::2/64"] },
  );
  for (const [namespace, device] of [
    [here, "to-app"],
    [app, "eth0"],
  ] as const) {
    const off = ["tso", "gso", "gro", "tx", "tx-udp-segmentation"].flatMap((name) => [name, "off"]);
    await namespace.run(["ethtool", "-K", device, ...off]);
  }
  await app.ip([
    `addr add ${formatHit(host.hit)}/128 dev lo nodad`,
    `addr add ${host.lsi}/32 dev lo`,
    `route add default via 10.9.9.1 src ${host.lsi}`,
    `route add ::/0 via fd00::1 src ${formatHit(host.hit)}`,
  ]);
  await here.sysctl({ "net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1 });
  return app;
}

/** The plane's names stay with the application. */
async function forward(host: PlaneHost, peer: PlaneHost): Promise<void> {
  const name = formatHit(host.hit);
  await host.host.namespace.ip([
    `addr del ${name}/128 dev hip0`,
    ...(await addressLines(host)),
    // Routes that preferred a removed address as source went with it.
    `route replace ${formatHit(peer.hit)}/128 dev hip0`,
    `route replace ${peer.lsi}/32 dev hip0`,
    `route replace ${name}/128 via fd00::2`,
    `route replace ${host.lsi}/32 via 10.9.9.2`,
  ]);
}

async function addressLines({ host, lsi }: PlaneHost): Promise<readonly string[]> {
  const text = await host.namespace.run(["ip", "-4", "-o", "addr", "show", "dev", "hip0"]);
  const prefix = new RegExp(`${lsi.replaceAll(".", "\\.")}/\\d+`).exec(text)?.[0];
  return prefix === undefined ? [] : [`addr del ${prefix} dev hip0`];
}

/** Whether all checksums are right, summed from scratch. */
function isWhole(packet: IpPacket): boolean {
  const { bytes, payload, protocol } = packet;
  const addresses = packet.version === 4 ? bytes.subarray(12, 20) : bytes.subarray(8, 40);
  const length = Uint8Array.of(0, protocol, payload.length >> 8, payload.length & 0xff);
  const header = packet.version === 4 ? checksum(bytes.subarray(0, 20)) : 0;
  return header === 0 && checksum(concat(addresses, length, payload)) === 0;
}

/** `largest`: what the path carries of this family. What was sent earlier must not come later: timestamps tell. */
function checkTcp(packets: readonly IpPacket[], largest: number): void {
  const segments = packets.filter((packet) => packet.protocol === TCP && packet.destinationPort === PORT);
  let [sent, all, full, late, longest] = [0, 0, 0, 0, 0];
  for (const packet of segments) {
    const view = new DataView(packet.payload.buffer, packet.payload.byteOffset);
    const header = (view.getUint8(12) >> 4) * 4;
    const length = packet.payload.length - header;
    longest = Math.max(longest, packet.length);
    // NOP, NOP, timestamps: Linux sends them so but in SYN.
    if ((view.getUint8(13) & 0x02) !== 0) continue;
    const time = view.getUint32(20) === 0x0101080a ? view.getUint32(24) : 0;
    if (sent !== 0 && ((time - sent) | 0) < 0) late++;
    sent = time;
    all += length;
    if (packet.length === largest) full += length;
  }
  expect(late).toBe(0);
  expect(longest).toBe(largest);
  expect(all).toBeGreaterThanOrEqual(BYTES);
  // All but the ends of what the application wrote at once are full.
  expect(full).toBeGreaterThan(all * 0.8);
}

function checkUdp(packets: readonly IpPacket[], sizes: readonly number[]): void {
  const datagrams = packets.filter((packet) => packet.protocol === UDP && packet.destinationPort === PORT);
  expect(datagrams).toHaveLength(sizes.length);
  for (const [i, { payload }] of datagrams.entries()) {
    const data = payload.subarray(8);
    expect(data.length).toBe(sizes[i]);
    expect(new DataView(data.buffer, data.byteOffset).getUint32(0)).toBe(i);
    expect(data.every((byte, at) => at < 4 || byte === ((i + at) & 0xff))).toBe(true);
  }
}

for (const [i, offloads] of WAYS.entries()) {
  const others = WAYS[(i * 4 + 3) % WAYS.length] as Offloads;
  const text = (list: Offloads) => (list.length === 0 ? "none" : list.join(" "));
  suite(`offloads: ${text(offloads)} at the sender, ${text(others)} at the receiver`, () => {
    it("applications see whole checksums, the MSS, and everything in order", async () => {
      const lab = Lab.create();
      try {
        const net = await routedPair(lab);
        const [a, b] = await Promise.all([
          PlaneHost.start(net.a, NAMES.a, { offloads }),
          PlaneHost.start(net.b, NAMES.b, { offloads: others }),
        ]);
        const app = await moveNames(lab, b);
        await forward(b, a);
        const [near, far] = await Promise.all([a.host.namespace.agent(), app.agent()]);
        await far.serveTcp(PORT);
        for (const ipv6 of [false, true]) {
          await associate(a, b, { ipv6 });
          for (const name of [formatHit(b.hit), b.lsi]) {
            const capture = await Capture.start(app, "eth0", "tcp or udp", 2_048);
            const moved = await near.sendTcp(name, PORT, BYTES, 20_000);
            expect(moved.error).toBeUndefined();
            expect(moved.receivedHash).toBe(moved.sentHash);
            // 10 messages of 20 datagrams, the last one of each shorter: less than a device's queue holds of single ones.
            await burst(a.host.namespace, name, PORT, { size: 1200, count: 200, together: 20 });
            const sizes = Array.from({ length: 200 }, (_, n) => (n % 20 === 19 ? 1199 - (n % 7) : 1200));
            await capture.until(
              ({ protocol, payload }) =>
                protocol === UDP && new DataView(payload.buffer, payload.byteOffset).getUint32(8) === 199,
              "the last datagram",
            );
            const packets = await capture.stop();
            expect(packets.filter((packet) => !isWhole(packet))).toEqual([]);
            const family = name === b.lsi ? 1458 : 1478;
            checkTcp(packets, ipv6 ? family - 20 : family);
            checkUdp(packets, sizes);
          }
          await dissociate(a, b);
        }
        const used = await b.call("counters");
        for (const name of ["tso", "uso", "gso", "gro"] as const) {
          expect(used[`offload_${name}`]).toBe(others.includes(name) ? 1 : 0);
        }
      } finally {
        await lab.close();
      }
    });
  });
}
