/** Out of Node's types at the edge of this layer. */

/**
 * A `Uint8Array` with memory of its own. A small `Buffer` is a window on a pool that holds other secrets, and all of
 * the pool would be copied to a worker thread with it.
 */
export function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer);
}

export function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64url");
}

export function fromBase64url(text: string): Uint8Array {
  return plain(Buffer.from(text, "base64url"));
}
