/** Packets for people: one line of text for any bytes, without secrets. */
import { printable, toHex } from "../core/bytes.ts";
import { formatHit } from "../core/ip.ts";
import type { Hit } from "../core/types.ts";
import { notifyName } from "./notification.ts";
import { CONTROL_ANONYMOUS, type Packet, parse, type RawParameter } from "./packet.ts";
import { knownParameter } from "./registry.ts";
import { HOST_ID, NOTIFICATION } from "./rfc7401.ts";

/** Byte strings up to this length are shown; longer ones by their length. */
const SHOWN_BYTES = 4;
const SHOWN_ITEMS = 8;
const SHOWN_NAME = 64;

/**
 * `R1 2001:22:…:4d56 > 2001:22:…:9a01 672 bytes: PUZZLE(k=10 …) …`. Bytes that are no HIP packet give a line too,
 * which says why. MACs, signatures, keys and echo data appear as lengths.
 */
export function dump(bytes: Uint8Array): string {
  const packet = parse(bytes);
  if (packet.ok) return dumpPacket(packet.value);
  const { reason, pointer, detail } = packet.error;
  return `malformed (${reason} at ${pointer}: ${detail}) ${bytes.length} bytes ${toHex(bytes.subarray(0, 8))}`;
}

export function dumpPacket(packet: Packet): string {
  const anonymous = (packet.controls & CONTROL_ANONYMOUS) === 0 ? "" : " anonymous";
  const head = `${packet.name} ${shortHit(packet.sender)} > ${shortHit(packet.receiver)}${anonymous}`;
  return [`${head} ${packet.bytes.length} bytes:`, ...packet.parameters.map(dumpParameter)].join(" ");
}

/** First two and last group of a HIT: enough to tell hosts apart in a line. */
export function shortHit(hit: Hit): string {
  const groups = formatHit(hit).split(":");
  return groups.length < 5 ? groups.join(":") : `${groups[0]}:${groups[1]}:…:${groups.at(-1)}`;
}

function dumpParameter(raw: RawParameter): string {
  const known = knownParameter(raw.type);
  if (known === undefined) {
    return `${(raw.type & 1) === 1 ? "CRITICAL" : "parameter"}-${raw.type}(${raw.contents.length}b)`;
  }
  const value = known.decode(raw.contents);
  if (value === undefined) return `${known.name}(bad)`;
  const parts = Object.entries(value as object).map(
    ([name, part]) => `${name}=${text(known.name, name, part)}`,
  );
  return parts.length === 0 ? known.name : `${known.name}(${parts.join(" ")})`;
}

function text(parameter: string, field: string, value: unknown): string {
  if (parameter === NOTIFICATION.name && field === "messageType") return notifyName(value as number);
  if (parameter === HOST_ID.name && field === "domainId")
    return printable((value as Uint8Array).subarray(0, SHOWN_NAME));
  if (/spi$/i.test(field)) return `0x${(value as number).toString(16).padStart(8, "0")}`;
  return plainText(value);
}

function plainText(value: unknown): string {
  if (value instanceof Uint8Array)
    return value.length > 0 && value.length <= SHOWN_BYTES ? toHex(value) : `${value.length}b`;
  if (Array.isArray(value)) {
    const shown = value.slice(0, SHOWN_ITEMS).map(plainText).join(",");
    return value.length > SHOWN_ITEMS ? `${shown},…` : shown;
  }
  if (typeof value === "object" && value !== null)
    return `{${Object.values(value).map(plainText).join(" ")}}`;
  return String(value);
}
