/** DNS messages of the responder: queries in, answers out (RFC 1035 4, RFC 6891). Hostile bytes give an error answer or nothing. */
import { type Answer, decode, encode, type Question, type RecordType } from "dns-packet";
import { formatHit } from "../../core/ip.ts";
import { hipRdata } from "../../crypto/hip-record.ts";
import { NAME_TTL, type NameAnswer, type NameRecord } from "../../overlay/name-answers.ts";

/** RFC 1035 4.1.1, RFC 6891 9. */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;
export type Rcode = keyof typeof RCODE;

/** Bytes of a UDP answer: what every host takes, and what passes without fragments (RFC 1035 2.3.4, RFC 6891 6.2.5). */
const PLAIN_BYTES = 512;
const EDNS_BYTES = 1232;

const HEADER_BYTES = 12;
const QR = 0x8000;
const AA = 0x0400;
const TC = 0x0200;
const RD = 0x0100;
const OPCODE = 0x7800;
const CLASS_IN = 1;
const CLASS_ANY = 255;
/** Records beside the question that a query may bring: OPT, and TSIG or the like, which is not looked at. */
const MAX_ADDITIONAL = 2;

export interface Query {
  readonly id: number;
  readonly flags: number;
  /** As it was written, upper and lower case mixed: the answer repeats it. */
  readonly name: string;
  readonly type: number;
  readonly question: Question;
  /** Undefined: a client without EDNS. */
  readonly edns: { readonly bytes: number } | undefined;
}

/** What says that a message's sender knows EDNS (RFC 6891 6.1), with the upper bits of an answer's code. */
export function ednsRecord(extendedRcode: number): Answer {
  return {
    type: "OPT",
    name: ".",
    udpPayloadSize: EDNS_BYTES,
    extendedRcode,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
}

/** A query; or an answer to what is none; or undefined for what no answer is given to. */
export type Read =
  | { readonly query: Query }
  | { readonly answer: Uint8Array; readonly rcode: Rcode }
  | undefined;

export function readQuery(bytes: Uint8Array): Read {
  if (bytes.length < HEADER_BYTES) return undefined;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const id = buffer.readUInt16BE(0);
  const flags = buffer.readUInt16BE(2);
  // An answer to an answer could go on for ever.
  if ((flags & QR) !== 0) return undefined;
  const bare = (rcode: Rcode): Read => ({ answer: bareAnswer(id, flags, rcode), rcode });
  if ((flags & OPCODE) !== 0) return bare("NOTIMP");
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map((at) => buffer.readUInt16BE(at));
  if (questions !== 1 || answers !== 0 || authorities !== 0 || (additionals ?? 0) > MAX_ADDITIONAL)
    return bare("FORMERR");
  const read = readName(buffer);
  if (read === undefined || buffer.length < read.end + 4) return bare("FORMERR");
  const type = buffer.readUInt16BE(read.end);
  const klass = buffer.readUInt16BE(read.end + 2);
  if (klass !== CLASS_IN && klass !== CLASS_ANY) return bare("REFUSED");
  const opt = readOpt(buffer);
  if (opt === "malformed") return bare("FORMERR");
  const query: Query = {
    id,
    flags,
    name: read.name,
    type,
    question: { name: read.name === "" ? "." : read.name, type: typeName(type), class: "IN" },
    edns: opt === undefined ? undefined : { bytes: opt.bytes },
  };
  if (opt !== undefined && opt.version !== 0) {
    return { answer: encodeAnswer(query, RCODE.BADVERS, [], []), rcode: "BADVERS" };
  }
  return { query };
}

/** The library writes types that it has no name for in this form; it is no part of its types. */
function typeName(type: number): RecordType {
  return `UNKNOWN_${type}` as RecordType;
}

/** The question's name. A compressed one, or one that has no plain text, is none. */
function readName(buffer: Buffer): { readonly name: string; readonly end: number } | undefined {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (;;) {
    const length = buffer[at++];
    if (length === undefined || length > 63 || at + length > buffer.length) return undefined;
    if (length === 0) break;
    labels.push(buffer.toString("latin1", at, at + length));
    at += length;
  }
  const plain = at - HEADER_BYTES <= 255 && labels.every((label) => PLAIN_LABEL.test(label));
  return plain ? { name: labels.join("."), end: at } : undefined;
}

const PLAIN_LABEL = /^[\x21-\x2d\x2f-\x7e]+$/;

function readOpt(
  buffer: Buffer,
): { readonly bytes: number; readonly version: number } | undefined | "malformed" {
  try {
    const found = (decode(buffer).additionals ?? []).filter((one) => one.type === "OPT");
    const [opt] = found;
    if (opt?.type !== "OPT") return undefined;
    return found.length > 1 ? "malformed" : { bytes: opt.udpPayloadSize, version: opt.ednsVersion };
  } catch {
    return "malformed";
  }
}

/** The answer in at most as many bytes as the client takes by `carrier`; one that is longer says that it is truncated. */
export function writeAnswer(query: Query, answer: NameAnswer, carrier: "udp" | "tcp"): Uint8Array {
  const records = (list: readonly NameRecord[]): readonly Answer[] =>
    list.flatMap((record) => record2answer(record, query.name));
  const rcode = RCODE[answer.code];
  const whole = encodeAnswer(query, rcode, records(answer.answers), records(answer.authority));
  const limit =
    carrier === "tcp"
      ? 0xffff
      : Math.min(EDNS_BYTES, Math.max(PLAIN_BYTES, query.edns?.bytes ?? PLAIN_BYTES));
  return whole.length <= limit ? whole : encodeAnswer(query, rcode, [], [], TC);
}

/** "Something went wrong here." */
export function writeFailure(query: Query): Uint8Array {
  return encodeAnswer(query, RCODE.SERVFAIL, [], []);
}

function encodeAnswer(
  query: Query,
  rcode: number,
  answers: readonly Answer[],
  authorities: readonly Answer[],
  extra = 0,
): Uint8Array {
  const opt = ednsRecord(rcode >> 4);
  const authoritative = rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN ? AA : 0;
  return encode({
    type: "response",
    id: query.id,
    flags: authoritative | (query.flags & RD) | extra | (rcode & 15),
    questions: [query.question],
    answers: [...answers],
    authorities: [...authorities],
    additionals: query.edns === undefined ? [] : [opt],
  });
}

/** Where not even the question could be read: only the header. */
function bareAnswer(id: number, flags: number, rcode: Rcode): Uint8Array {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt16BE(id, 0);
  bytes.writeUInt16BE(QR | (flags & (OPCODE | RD)) | RCODE[rcode], 2);
  return bytes;
}

function record2answer(record: NameRecord, asked: string): readonly Answer[] {
  // The name that was asked for comes back letter by letter (draft-vixie-dnsext-dns0x20).
  const name = record.owner === asked.toLowerCase() ? asked : record.owner;
  const common = { name, ttl: NAME_TTL, class: "IN" } as const;
  switch (record.type) {
    case "A":
      return [{ ...common, type: "A", data: record.lsi }];
    case "AAAA":
      return [{ ...common, type: "AAAA", data: formatHit(record.hit) }];
    case "PTR":
    case "NS":
      return [{ ...common, type: record.type, data: record.target }];
    case "HIP": {
      const data = hipRdata(record.key);
      return data === undefined ? [] : [{ ...common, type: "HIP", data: Buffer.from(data) }];
    }
    case "SOA": {
      const { server: mname, mailbox: rname } = record;
      const data = {
        mname,
        rname,
        serial: 1,
        refresh: 3600,
        retry: 600,
        expire: 86_400,
        minimum: NAME_TTL,
      };
      return [{ ...common, type: "SOA", data }];
    }
  }
}
