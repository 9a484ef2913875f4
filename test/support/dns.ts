/** DNS for tests: questions by hand, and a server that says what the test wants. */
import { createSocket, type Socket } from "node:dgram";
import { connect, createServer, type Server } from "node:net";
import { type Answer, type DecodedPacket, decode, encode, type Packet, type RecordType } from "dns-packet";

export type Decoded = DecodedPacket & { readonly rcode: string };

export const AD = 0x0020;
export const AA = 0x0400;
export const RD = 0x0100;

export function opt(bytes: number, ednsVersion = 0): Answer {
  return {
    type: "OPT",
    name: ".",
    udpPayloadSize: bytes,
    extendedRcode: 0,
    ednsVersion,
    flags: 0,
    flag_do: false,
    options: [],
  };
}

export function query(name: string, type: string, more: Packet = {}): Buffer {
  const questions = [{ name, type: type as RecordType, class: "IN" as const }];
  return encode({ type: "query", id: 7, flags: RD, questions, ...more });
}

/** The answer by UDP; undefined when none comes in time. */
export function askUdp(
  bytes: Uint8Array,
  host: string,
  port: number,
  millis = 500,
): Promise<Decoded | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    const done = (found: Decoded | undefined): void => {
      clearTimeout(timer);
      socket.close();
      resolve(found);
    };
    const timer = setTimeout(() => done(undefined), millis);
    socket.on("message", (answer) => done(decode(answer) as Decoded));
    socket.send(bytes, port, host);
  });
}

/** All answers until the server ends the connection or as many as were asked for have come. */
export function askTcp(
  parts: readonly Uint8Array[],
  host: string,
  port: number,
  wanted: number,
): Promise<readonly Decoded[]> {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => {
      for (const part of parts) socket.write(part);
    });
    let waiting = Buffer.alloc(0);
    const found: Decoded[] = [];
    const done = (): void => {
      socket.destroy();
      resolve(found);
    };
    socket.on("data", (bytes) => {
      waiting = Buffer.concat([waiting, bytes]);
      while (waiting.length >= 2 && waiting.length >= 2 + waiting.readUInt16BE(0)) {
        const end = 2 + waiting.readUInt16BE(0);
        found.push(decode(waiting.subarray(2, end)) as Decoded);
        waiting = waiting.subarray(end);
      }
      if (found.length >= wanted) done();
    });
    socket.on("close", done);
    socket.on("error", done);
  });
}

export function framed(bytes: Uint8Array): Buffer {
  const whole = Buffer.alloc(2 + bytes.length);
  whole.writeUInt16BE(bytes.length, 0);
  whole.set(bytes, 2);
  return whole;
}

/** What a fake server says to a question; undefined: nothing. Fields of the packet that are absent are as they should be. */
export type Say = (
  question: { readonly name: string; readonly type: string },
  tcp: boolean,
) => Packet | Buffer | undefined;

/** A DNS server on `host`, by UDP and TCP on one port. */
export class FakeDns {
  readonly port: number;
  readonly asked: { readonly name: string; readonly type: string; readonly tcp: boolean }[] = [];
  say: Say;
  readonly #udp: Socket;
  readonly #tcp: Server;

  private constructor(udp: Socket, tcp: Server, port: number, say: Say) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.port = port;
    this.say = say;
    udp.on("message", (bytes, from) => {
      for (const answer of this.#answers(bytes, false)) udp.send(answer, from.port, from.address);
    });
    tcp.on("connection", (connection) => {
      connection.on("error", () => connection.destroy());
      connection.on("data", (bytes: Buffer) => {
        for (const answer of this.#answers(bytes.subarray(2), true)) connection.write(framed(answer));
      });
    });
  }

  static async open(say: Say, host = "127.0.0.1", wanted = 0): Promise<FakeDns> {
    const tcp = createServer();
    await new Promise<void>((resolve) => tcp.listen(wanted, host, resolve));
    const { port } = tcp.address() as { port: number };
    const udp = createSocket("udp4");
    await new Promise<void>((resolve) => udp.bind(port, host, resolve));
    return new FakeDns(udp, tcp, port, say);
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
  }

  #answers(bytes: Buffer, tcp: boolean): readonly Buffer[] {
    const packet = decode(bytes);
    const [question] = packet.questions ?? [];
    if (question === undefined) return [];
    this.asked.push({ name: question.name, type: question.type, tcp });
    const said = this.say({ name: question.name.toLowerCase(), type: question.type }, tcp);
    if (said === undefined) return [];
    if (Buffer.isBuffer(said)) return [said];
    return [encode({ type: "response", id: packet.id, questions: [question], ...said })];
  }
}
