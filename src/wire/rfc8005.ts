/** The RDATA of HIP resource records (RFC 8005 5). Bytes from the network: decoding never throws. */
import { Reader, Writer } from "../core/cursor.ts";
import { err, ok, type Result } from "../core/types.ts";

/** RFC 8005 9. */
export const HIP_RR_TYPE = 55;
/** Rendezvous servers of one record that are kept, the preferred ones. */
export const MAX_RENDEZVOUS = 8;
/** RFC 1035 2.3.4. */
const MAX_LABEL = 63;
const MAX_NAME_BYTES = 255;

export interface HipRecord {
  /** 16 bytes in a record of use; any length can stand in one. */
  readonly hit: Uint8Array;
  /** Of the IPSECKEY registry: 1 DSA, 2 RSA, 3 ECDSA, 4 EdDSA. */
  readonly pkAlgorithm: number;
  /** In the form of its algorithm (RFC 8005 5.5). */
  readonly publicKey: Uint8Array;
  /** Domain names without the final dot, the preferred one first. */
  readonly rendezvous: readonly string[];
}

/** @throws never for a record that `decodeHipRecord` gave; names that DNS does not know are a programming error. */
export function encodeHipRecord(record: HipRecord): Uint8Array {
  const writer = new Writer()
    .u8(record.hit.length)
    .u8(record.pkAlgorithm)
    .u16(record.publicKey.length)
    .bytes(record.hit)
    .bytes(record.publicKey);
  for (const name of record.rendezvous) writeName(writer, name);
  return writer.done();
}

export function decodeHipRecord(rdata: Uint8Array): Result<HipRecord, string> {
  const reader = new Reader(rdata);
  const hitBytes = reader.u8();
  const pkAlgorithm = reader.u8();
  const keyBytes = reader.u16();
  const hit = reader.take(hitBytes);
  const publicKey = reader.take(keyBytes);
  if (reader.overrun) return err("the record ends within its HIT or key");
  const rendezvous: string[] = [];
  while (reader.remaining > 0) {
    const name = readName(reader);
    if (!name.ok) return name;
    if (rendezvous.length < MAX_RENDEZVOUS) rendezvous.push(name.value);
  }
  return ok({ hit: hit.slice(), pkAlgorithm, publicKey: publicKey.slice(), rendezvous });
}

/** Whether `text` can stand in a DNS message as it is: labels of printable characters, at most 253 characters in all. */
export function isDomainName(text: string): boolean {
  const labels = text.split(".");
  return text.length <= 253 && labels.every((label) => label.length <= MAX_LABEL && LABEL.test(label));
}

const LABEL = /^[\x21-\x2d\x2f-\x5b\x5d-\x7e]+$/;

function writeName(writer: Writer, name: string): void {
  if (!isDomainName(name)) throw new Error(`not a domain name: ${name.slice(0, 80)}`);
  for (const label of name.split(".")) {
    writer.u8(label.length);
    for (let at = 0; at < label.length; at++) writer.u8(label.charCodeAt(at));
  }
  writer.u8(0);
}

/** RFC 8005 5.6: never compressed. */
function readName(reader: Reader): Result<string, string> {
  const begin = reader.remaining;
  const labels: string[] = [];
  for (;;) {
    const length = reader.u8();
    if (length > MAX_LABEL) return err("a rendezvous server's name is compressed");
    const label = reader.take(length);
    if (reader.overrun) return err("the record ends within the name of a rendezvous server");
    if (begin - reader.remaining > MAX_NAME_BYTES) return err("a rendezvous server's name is too long");
    if (length === 0) break;
    labels.push(String.fromCharCode(...label));
  }
  const name = labels.join(".");
  if (labels.length === 0 || labels.some((label) => !LABEL.test(label)) || !isDomainName(name)) {
    return err("a rendezvous server's name has characters that names do not have");
  }
  return ok(name);
}
