/** Puts packets on the wire as an attacker on the path would: any source address, any bytes. */
import { compiled } from "./compiled.ts";
import type { Namespace } from "./lab.ts";

export interface Burst {
  /** Bytes of a datagram: its number, and what follows from it. */
  readonly size: number;
  readonly count: number;
  /** Datagrams that are handed to the kernel at once (UDP_SEGMENT); the last of them is shorter. */
  readonly together?: number;
  readonly trafficClass?: number;
  readonly first?: number;
}

/** Sends numbered UDP datagrams. */
export async function burst(from: Namespace, to: string, port: number, options: Burst): Promise<void> {
  const { size, count, together = 1, trafficClass = 0, first = 0 } = options;
  const numbers = [port, size, count, together, trafficClass, first];
  await from.run([await compiled("burst"), to, ...numbers.map(String)]);
}

/** Sends whole IP packets from within a namespace. */
export async function inject(from: Namespace, packets: readonly Uint8Array[]): Promise<void> {
  const input = packets.map((packet) => `${Buffer.from(packet).toString("hex")}\n`).join("");
  const sent = Number(await from.run([await compiled("inject")], { input }));
  if (sent !== packets.length) throw new Error(`only ${sent} of ${packets.length} packets were sent`);
}

/** A copy of an IP packet with its payload changed at `offset` behind the IP header; checksums are repaired. */
export function mutate(packet: Uint8Array, offset: number, change: (byte: number) => number): Uint8Array {
  const copy = packet.slice();
  const header = (copy[0] as number) >> 4 === 4 ? ((copy[0] as number) & 15) * 4 : 40;
  copy[header + offset] = change(copy[header + offset] as number) & 0xff;
  return repaired(copy);
}

/** Computes the UDP checksum anew, where the packet is UDP. */
export function repaired(packet: Uint8Array): Uint8Array {
  const v4 = (packet[0] as number) >> 4 === 4;
  const header = v4 ? ((packet[0] as number) & 15) * 4 : 40;
  if ((v4 ? packet[9] : packet[6]) !== 17) return packet;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  view.setUint16(header + 6, 0);
  let sum = 17 + packet.length - header;
  const from = v4 ? 12 : 8;
  for (let at = from; at < packet.length; at += 2) {
    if (at === (v4 ? 20 : 40)) at = header;
    sum += at + 1 < packet.length ? view.getUint16(at) : view.getUint8(at) << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(header + 6, ~sum & 0xffff || 0xffff);
  return packet;
}
