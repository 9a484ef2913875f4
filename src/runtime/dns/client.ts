/**
 * Questions to the host's resolvers, also for types that node:dns does not know (RFC 8005). Forged answers must guess the
 * port, the ID and the letters' case of the question (RFC 5452, draft-vixie-dnsext-dns0x20), and come from the server that was asked.
 */
import { randomBytes, randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { type Answer, type DecodedPacket, decode, encode } from "dns-packet";
import { err, ok, type Result } from "../../core/types.ts";
import { whyNot } from "../files.ts";
import { ednsRecord } from "./message.ts";
import { DNS_PLACES, type DnsClientPlaces, isLoopback } from "./resolv-conf.ts";

/** Each server is asked so often. */
const TRIES = 2;
/** Aliases from the name that was asked for to the records. */
const MAX_ALIASES = 8;
/** Seconds that "no such name" is believed when the answer does not say for how long. */
const NEGATIVE_TTL = 60;

/** RFC 1035 4.1.1, RFC 6840 5.7: recursion is wanted, and whether the answer was validated. */
const RD = 0x0100;
const AD = 0x0020;

export type AskedType = "A" | "AAAA" | "HIP";

export interface DnsReply {
  readonly exists: boolean;
  /** A resolver on this host has checked DNSSEC signatures; what one elsewhere says of that could be forged on the way. */
  readonly validated: boolean;
  /** Addresses for A and AAAA, RDATA for HIP. */
  readonly addresses: readonly string[];
  readonly rdata: readonly Uint8Array[];
  /** Seconds that this may be believed. */
  readonly ttl: number;
}

export interface DnsClientCounters {
  readonly asked: number;
  readonly answered: number;
  readonly timeouts: number;
  /** Packets from the asked server that are no answer to the question. */
  readonly mismatched: number;
  readonly tcp: number;
  /** Servers that cannot be reached, or refuse. */
  readonly failed: number;
}

export class DnsClient {
  readonly #places: DnsClientPlaces;
  readonly #counters = { asked: 0, answered: 0, timeouts: 0, mismatched: 0, tcp: 0, failed: 0 };

  constructor(places: DnsClientPlaces = DNS_PLACES) {
    this.#places = places;
  }

  counters(): DnsClientCounters {
    return { ...this.#counters };
  }

  /** The records of a name, which is plain text without the final dot. The error says why there is no answer. */
  async ask(name: string, type: AskedType): Promise<Result<DnsReply, string>> {
    let problem = "no resolver is known";
    for (let attempt = 0; attempt < TRIES; attempt++) {
      for (const server of this.#places.servers()) {
        const answer = await this.#askOne(server, name, type);
        if (answer.ok) {
          this.#counters.answered++;
          return answer;
        }
        problem = `${server}: ${answer.error}`;
      }
    }
    return err(problem);
  }

  async #askOne(server: string, name: string, type: AskedType): Promise<Result<DnsReply, string>> {
    const query = makeQuery(name, type);
    this.#counters.asked++;
    const first = await this.#udp(server, query);
    if (!first.ok) return first;
    let packet = first.value;
    if (packet === undefined || packet.flag_tc) {
      this.#counters.tcp++;
      const whole = await this.#tcp(server, query);
      if (!whole.ok) return whole;
      packet = whole.value;
    }
    const { rcode } = packet as DecodedPacket & { rcode: string };
    if (rcode !== "NOERROR" && rcode !== "NXDOMAIN") {
      this.#counters.failed++;
      return err(`answers ${rcode}`);
    }
    return ok(readReply(packet, name, type, packet.flag_ad && isLoopback(server)));
  }

  /** Undefined: the answer must be asked for by TCP. */
  #udp(server: string, query: Question): Promise<Result<DecodedPacket | undefined, string>> {
    const { port, answerMillis } = this.#places;
    return new Promise((resolve) => {
      const socket = createSocket(server.includes(":") ? "udp6" : "udp4");
      const done = (result: Result<DecodedPacket | undefined, string>): void => {
        clearTimeout(timer);
        socket.removeAllListeners();
        socket.on("error", () => {});
        socket.close();
        resolve(result);
      };
      const timer = setTimeout(() => {
        this.#counters.timeouts++;
        done(err(`no answer within ${answerMillis} ms`));
      }, answerMillis);
      socket.on("error", (error) => {
        this.#counters.failed++;
        done(err(whyNot(error)));
      });
      socket.on("message", (bytes) => {
        const packet = matching(bytes, query);
        // Something else: the real answer may still come.
        if (packet === undefined) this.#counters.mismatched++;
        else done(ok(packet === "other-case" ? undefined : packet));
      });
      // Only packets of this server reach a connected socket; the kernel chooses its port at random.
      socket.connect(port, server, () => socket.send(query.bytes));
    });
  }

  #tcp(server: string, query: Question): Promise<Result<DecodedPacket, string>> {
    const { port, answerMillis } = this.#places;
    return new Promise((resolve) => {
      const socket = connect({ host: server, port });
      const done = (result: Result<DecodedPacket, string>): void => {
        clearTimeout(timer);
        socket.destroy();
        resolve(result);
      };
      const failed = (why: string): void => {
        this.#counters.failed++;
        done(err(`TCP: ${why}`));
      };
      const timer = setTimeout(() => {
        this.#counters.timeouts++;
        done(err(`no answer by TCP within ${answerMillis} ms`));
      }, answerMillis);
      let waiting: Buffer = Buffer.alloc(0);
      socket.on("error", (error) => failed(whyNot(error)));
      socket.on("end", () => failed("the connection ended before the answer"));
      socket.on("data", (bytes: Buffer) => {
        waiting = Buffer.concat([waiting, bytes]);
        const length = waiting.length < 2 ? undefined : waiting.readUInt16BE(0);
        if (length === undefined || waiting.length < 2 + length) return;
        const packet = matching(waiting.subarray(2, 2 + length), query);
        if (packet === undefined || packet === "other-case") {
          this.#counters.mismatched++;
          failed("something else than the answer");
        } else done(ok(packet));
      });
      socket.on("connect", () => {
        const framed = Buffer.alloc(2 + query.bytes.length);
        framed.writeUInt16BE(query.bytes.length, 0);
        framed.set(query.bytes, 2);
        socket.write(framed);
      });
    });
  }
}

interface Question {
  readonly id: number;
  readonly name: string;
  readonly type: AskedType;
  readonly bytes: Uint8Array;
}

function makeQuery(plain: string, type: AskedType): Question {
  const id = randomInt(0x1_0000);
  const name = mixedCase(plain);
  const bytes = encode({
    type: "query",
    id,
    flags: RD | AD,
    questions: [{ name, type, class: "IN" }],
    additionals: [ednsRecord(0)],
  });
  return { id, name, type, bytes };
}

function mixedCase(name: string): string {
  const coins = randomBytes(name.length);
  return [...name.toLowerCase()]
    .map((letter, i) => (((coins[i] as number) & 1) === 0 ? letter : letter.toUpperCase()))
    .join("");
}

/** Undefined: no answer to this question. "other-case": it may be one, of a server that does not keep the letters as they are. */
function matching(bytes: Uint8Array, query: Question): DecodedPacket | "other-case" | undefined {
  let packet: DecodedPacket;
  try {
    packet = decode(Buffer.from(bytes));
  } catch {
    return undefined;
  }
  const [question, ...others] = packet.questions ?? [];
  if (!packet.flag_qr || packet.id !== query.id || question === undefined || others.length > 0)
    return undefined;
  if (question.type !== query.type || question.class !== "IN") return undefined;
  if (question.name === query.name) return packet;
  return question.name.toLowerCase() === query.name.toLowerCase() ? "other-case" : undefined;
}

function readReply(packet: DecodedPacket, asked: string, type: AskedType, validated: boolean): DnsReply {
  const { rcode } = packet as DecodedPacket & { rcode: string };
  const answers = packet.answers ?? [];
  let owner = asked.toLowerCase();
  let ttl = Number.POSITIVE_INFINITY;
  const of = (wanted: string): readonly Answer[] =>
    answers.filter((one) => one.type === wanted && one.name.toLowerCase() === owner);
  for (let aliases = 0; aliases < MAX_ALIASES && of(type).length === 0; aliases++) {
    const [alias] = of("CNAME");
    if (alias?.type !== "CNAME") break;
    owner = alias.data.toLowerCase();
    ttl = Math.min(ttl, alias.ttl ?? 0);
  }
  const records = of(type);
  for (const record of records) if ("ttl" in record) ttl = Math.min(ttl, record.ttl ?? 0);
  if (records.length === 0) ttl = Math.min(ttl, negativeTtl(packet));
  return {
    exists: rcode !== "NXDOMAIN",
    validated,
    addresses: records.flatMap((one) => (one.type === "A" || one.type === "AAAA" ? [one.data] : [])),
    rdata: records.flatMap((one) => (one.type === "HIP" ? [new Uint8Array(one.data)] : [])),
    ttl,
  };
}

/** RFC 2308 5. */
function negativeTtl(packet: DecodedPacket): number {
  const soa = (packet.authorities ?? []).find((one) => one.type === "SOA");
  if (soa?.type !== "SOA") return NEGATIVE_TTL;
  return Math.min(soa.ttl ?? 0, soa.data.minimum ?? NEGATIVE_TTL);
}
