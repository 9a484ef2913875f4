/** IP addresses and prefixes as text and bytes. IPv6 prints in the form of RFC 5952. */
import { fromHex, toHex } from "./bytes.ts";
import { err, type Hit, type Lsi, ok, type Result } from "./types.ts";

/** An address range: `198.18.0.0/15`. `bytes` is the network address, 4 or 16 bytes. */
export interface Prefix {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** 4 bytes of a dotted quad without leading zeros, or undefined. */
export function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [i, part] of parts.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes[i] = Number(part);
  }
  return bytes;
}

/** 16 bytes of any RFC 4291 2.2 form (no zone), or undefined. */
export function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groups(halves[0] as string, halves.length === 1);
  const tail = halves.length === 2 ? groups(halves[1] as string, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined;
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

function groups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const bytes: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (part.includes(".")) {
      const quad = mayEndInIpv4 && i === parts.length - 1 ? parseIpv4(part) : undefined;
      if (quad === undefined) return undefined;
      bytes.push(...quad);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      const value = Number.parseInt(part, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}

/** 4 or 16 bytes of an address, or undefined. */
export function parseIp(text: string): Uint8Array | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

export function formatIpv4(bytes: Uint8Array): string {
  return bytes.join(".");
}

/** RFC 5952 4: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as `::`. */
export function formatIpv6(bytes: Uint8Array): string {
  const words = Array.from(
    { length: 8 },
    (_, i) => ((bytes[2 * i] as number) << 8) | (bytes[2 * i + 1] as number),
  );
  let start = -1;
  let longest = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && words[i + run] === 0) run++;
    if (run > longest) {
      start = i;
      longest = run;
    }
    i += run;
  }
  const hex = words.map((word) => word.toString(16));
  if (start < 0) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + longest).join(":")}`;
}

export function formatIp(bytes: Uint8Array): string {
  return bytes.length === 4 ? formatIpv4(bytes) : formatIpv6(bytes);
}

/** The canonical text of an address in any form, or undefined. */
export function canonicalIp(text: string): string | undefined {
  const bytes = parseIp(text);
  return bytes === undefined ? undefined : formatIp(bytes);
}

/** The HIT prefix 2001:20::/28 (RFC 7343 6). */
export const HIT_PREFIX: Prefix = { bytes: fromHex("20010020000000000000000000000000"), length: 28 };

export function isHit(bytes: Uint8Array): boolean {
  return bytes.length === 16 && contains(HIT_PREFIX, bytes);
}

/** A HIT as people read it: an IPv6 address. */
export function formatHit(hit: Hit): string {
  return formatIpv6(fromHex(hit));
}

export function hitBytes(hit: Hit): Uint8Array {
  return fromHex(hit);
}

/** 16 bytes as a HIT, without a check of the prefix: packets carry the NULL HIT too. */
export function hitFromBytes(bytes: Uint8Array): Hit {
  return toHex(bytes) as Hit;
}

export function parseHit(text: string): Result<Hit, string> {
  const bytes = parseIpv6(text);
  if (bytes === undefined) return err(`"${text}" is not an IPv6 address`);
  if (!isHit(bytes)) return err(`"${text}" is not a HIT: HITs begin with 2001:20::/28 (RFC 7343)`);
  return ok(hitFromBytes(bytes));
}

export function parsePrefix(text: string): Result<Prefix, string> {
  const [address = "", size, ...rest] = text.split("/");
  const bytes = parseIp(address);
  if (bytes === undefined || rest.length > 0) return err(`"${text}" is not a prefix like 198.18.0.0/15`);
  const length = size === undefined ? bytes.length * 8 : Number(size);
  if ((size !== undefined && !/^[0-9]{1,3}$/.test(size)) || length > bytes.length * 8) {
    return err(`"${text}": the prefix length must be 0 to ${bytes.length * 8}`);
  }
  const network = mask(bytes, length);
  if (toHex(network) !== toHex(bytes)) {
    return err(`"${text}" has host bits set; write ${formatIp(network)}/${length}`);
  }
  return ok({ bytes, length });
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix.bytes)}/${prefix.length}`;
}

export function contains(prefix: Prefix, address: Uint8Array): boolean {
  if (prefix.bytes.length !== address.length) return false;
  return toHex(mask(address, prefix.length)) === toHex(prefix.bytes);
}

/** Whether two prefixes share an address. */
export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.length <= b.length ? contains(a, b.bytes) : contains(b, a.bytes);
}

export function lsiFromBytes(bytes: Uint8Array): Lsi {
  return formatIpv4(bytes) as Lsi;
}

function mask(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.map((byte, i) => {
    const bits = Math.max(0, Math.min(8, length - 8 * i));
    return byte & (0xff << (8 - bits)) & 0xff;
  });
}
