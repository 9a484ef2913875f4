/** Whether anything of the overlay is seen on the underlay other than ESP and HIP. */
import { contains, HIT_PREFIX, parseIp, parsePrefix } from "../../src/core/ip.ts";
import { Capture } from "../../tools/lab/capture.ts";
import type { IpPacket } from "../../tools/lab/packet.ts";
import type { Movers } from "./mobile.ts";

const LSI_PREFIX = parsePrefix("198.18.0.0/15");

function isOverlay(address: string): boolean {
  const bytes = parseIp(address);
  if (bytes === undefined) throw new Error(`captured address ${address}`);
  return contains(HIT_PREFIX, bytes) || (LSI_PREFIX.ok && contains(LSI_PREFIX.value, bytes));
}

/** A packet with an overlay address, or one that is neither of the daemons nor of the network itself. */
export function includesOverlay(packet: IpPacket): boolean {
  return isOverlay(packet.source) || isOverlay(packet.destination);
}

/** Everything that enters or leaves the two hosts but the overlay's own device; headers only. */
export async function underlayCaptures({ router }: Movers): Promise<readonly Capture[]> {
  const devices = await router.devices();
  return Promise.all(devices.map((device) => Capture.start(router, device, "", 96)));
}
