/** IP protocols that no daemon knows: SCTP, GRE and experimental ones pass as they are, in both families. */
import { expect, it } from "vitest";
import { parseIp } from "../../src/core/ip.ts";
import { Capture } from "../../tools/lab/capture.ts";
import { inject } from "../../tools/lab/inject.ts";
import { addressesOf, ping, sharedPair, suite } from "./support.ts";

/** An IP packet without options; the kernel fills in the IPv4 checksum of a raw packet. */
function ipPacket(source: string, destination: string, protocol: number, payload: Uint8Array): Uint8Array {
  const [from, to] = [parseIp(source) as Uint8Array, parseIp(destination) as Uint8Array];
  const v4 = from.length === 4;
  const packet = new Uint8Array((v4 ? 20 : 40) + payload.length);
  const view = new DataView(packet.buffer);
  if (v4) {
    view.setUint8(0, 0x45);
    view.setUint16(2, packet.length);
    view.setUint8(8, 64);
    view.setUint8(9, protocol);
    packet.set(from, 12);
    packet.set(to, 16);
  } else {
    view.setUint8(0, 0x60);
    view.setUint16(4, payload.length);
    view.setUint8(6, protocol);
    view.setUint8(7, 64);
    packet.set(from, 8);
    packet.set(to, 24);
  }
  packet.set(payload, v4 ? 20 : 40);
  return packet;
}

suite("other IP protocols", () => {
  const pair = sharedPair({});

  it.each([
    ["SCTP", 132],
    ["GRE", 47],
    ["DCCP", 33],
    ["experiment", 253],
  ] as const)("%s (%i) arrives byte for byte by HIT and by LSI", async (_name, protocol) => {
    const { a, b } = pair();
    await ping(a.daemon.namespace, b.daemon.hit);
    const { lsi, hit } = await addressesOf(a, b);
    const own = (await a.daemon.status()).self;
    const payload = Uint8Array.from({ length: 64 }, (_, i) => (i * 37 + protocol) & 0xff);
    const capture = await Capture.start(b.daemon.namespace, "hip0");
    await inject(a.daemon.namespace, [
      ipPacket(own.hit, hit, protocol, payload),
      ipPacket(own.lsi, lsi, protocol, payload),
    ]);
    const six = await capture.until(
      (packet) => packet.version === 6 && packet.protocol === protocol,
      "IPv6 packet",
    );
    const four = await capture.until(
      (packet) => packet.version === 4 && packet.protocol === protocol,
      "IPv4 packet",
    );
    await capture.stop();
    expect([...six.payload]).toEqual([...payload]);
    expect([six.source, six.destination]).toEqual([own.hit, hit]);
    expect([...four.payload]).toEqual([...payload]);
    expect(four.source).toBe(await b.daemon.lsi("a"));
  });
});
