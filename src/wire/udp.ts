/** HIP in UDP: a marker of four zero bytes where ESP has its SPI (RFC 9028 5.1, RFC 3948 2). */

/** Where hosts listen for HIP and ESP over UDP (RFC 9028 5.1). */
export const HIP_UDP_PORT = 10500;
const MARKER_BYTES = 4;
const KEEPALIVE = 0xff;

/** What a UDP datagram is. `bytes` is a view without the marker. */
export type Datagram =
  | { readonly kind: "hip"; readonly bytes: Uint8Array }
  /** Begins with an SPI that is not zero. */
  | { readonly kind: "esp"; readonly bytes: Uint8Array }
  /** The one byte 0xff of RFC 3948 2.3: to be ignored. */
  | { readonly kind: "keepalive" }
  | { readonly kind: "short" };

/** A HIP packet as UDP payload. Its checksum must be zero, as `build` leaves it. */
export function encapsulate(packet: Uint8Array): Uint8Array {
  const payload = new Uint8Array(MARKER_BYTES + packet.length);
  payload.set(packet, MARKER_BYTES);
  return payload;
}

export function decapsulate(payload: Uint8Array): Datagram {
  if (payload.length === 1 && payload[0] === KEEPALIVE) return { kind: "keepalive" };
  if (payload.length < MARKER_BYTES) return { kind: "short" };
  const isHip = payload.subarray(0, MARKER_BYTES).every((byte) => byte === 0);
  return isHip ? { kind: "hip", bytes: payload.subarray(MARKER_BYTES) } : { kind: "esp", bytes: payload };
}
