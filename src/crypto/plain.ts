/** Out of Node's types at the edge of this layer. */

/**
 * A `Uint8Array` with memory of its own. A small `Buffer` is a window on a pool that holds other secrets, and all of
 * the pool would be copied to a worker thread with it.
 */
export function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer);
}

export function toBase64(bytes: Uint8Array): string {
  return viewOf(bytes).toString("base64");
}

/** Also reads base64url; skips what is neither. */
export function fromBase64(text: string): Uint8Array {
  return plain(Buffer.from(text, "base64"));
}

export function toBase64url(bytes: Uint8Array): string {
  return viewOf(bytes).toString("base64url");
}

/** One character for each byte. */
export function toLatin1(bytes: Uint8Array): string {
  return viewOf(bytes).toString("latin1");
}

export function fromLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
