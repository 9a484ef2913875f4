/** How packets travel, seen from the protocol (RFC 9028 4.3, 5.1). */
import { type Carrier, type Endpoint, type Path, sameEndpoint } from "../core/types.ts";

/** The only NAT traversal mode of this version (RFC 9028 5.4): no connectivity checks (4.7.1). */
export const NAT_TRAVERSAL_UDP_ENCAPSULATION = 1;

/** The modes that we offer or accept on a carrier. */
export function natTraversalModes(carrier: Carrier): readonly number[] {
  return carrier === "udp" ? [NAT_TRAVERSAL_UDP_ENCAPSULATION] : [];
}

/** A path to a peer's locator, from whichever address the kernel prefers. */
export function pathTo(carrier: Carrier, remote: Endpoint, udpPort: number): Path {
  return { carrier, local: { address: "", port: carrier === "udp" ? udpPort : 0 }, remote };
}

/** Whether two paths lead to the same place, whatever our own address is. */
export function sameDestination(a: Path, b: Path): boolean {
  return a.carrier === b.carrier && sameEndpoint(a.remote, b.remote);
}
