/** The DNS responder: UDP and TCP on one address of this host, for this host alone. It never asks anybody else. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";
import { RateLimit } from "../../core/bounded.ts";
import { err, ok, type Result } from "../../core/types.ts";
import type { NameAnswer } from "../../overlay/name-answers.ts";
import { whyNot } from "../files.ts";
import { readQuery, writeAnswer, writeFailure } from "./message.ts";

/** Queries a second, on average and at once. An application that asks more often has a bug. */
export const MAX_QUERIES_PER_SECOND = 2_000;
const MAX_BURST = 4_000;
export const MAX_TCP_CONNECTIONS = 16;
const TCP_IDLE_MILLIS = 5_000;
/** Of one query by TCP: a name and a few options. */
const MAX_TCP_QUERY = 2_048;

/** Undefined: no answer can be had now. `name` is in lower case. */
export type Resolve = (name: string, type: number) => NameAnswer | undefined;

export interface DnsServerOptions {
  readonly host: string;
  /** The first of these that is free and may be bound. */
  readonly ports: readonly number[];
  /** Whether an address is one of this host's own. */
  readonly own: (address: string) => boolean;
  readonly resolve: Resolve;
  /** Milliseconds on a clock that never goes back. */
  readonly now?: () => number;
}

/** Why a query got no answer. */
export type DnsDrop = "foreign" | "limited" | "malformed" | "too_long";
type Outcome = "noerror" | "nodata" | "nxdomain" | "refused" | "formerr" | "notimp" | "badvers" | "servfail";

export interface DnsServerCounters {
  readonly queries: Readonly<Record<Outcome, number>>;
  readonly drops: Readonly<Record<DnsDrop, number>>;
  /** Answers by UDP that were too long: the client asks again by TCP. */
  readonly truncated: number;
  readonly tcp: number;
}

export class DnsServer {
  readonly host: string;
  readonly port: number;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #connections = new Set<Socket>();
  readonly #options: DnsServerOptions;
  readonly #limit = new RateLimit(MAX_QUERIES_PER_SECOND, MAX_BURST);
  readonly #queries = {
    noerror: 0,
    nodata: 0,
    nxdomain: 0,
    refused: 0,
    formerr: 0,
    notimp: 0,
    badvers: 0,
    servfail: 0,
  };
  readonly #drops = { foreign: 0, limited: 0, malformed: 0, too_long: 0 };
  #truncated = 0;
  #tcpQueries = 0;

  private constructor(udp: UdpSocket, tcp: Server, port: number, options: DnsServerOptions) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.#options = options;
    this.host = options.host;
    this.port = port;
    udp.on("message", (message, from) => this.#datagram(message, from.address, from.port));
    // A client that is gone is told of by ICMP: nothing to do about it.
    udp.on("error", () => {});
    tcp.maxConnections = MAX_TCP_CONNECTIONS;
    tcp.on("connection", (connection) => this.#connection(connection));
    tcp.on("error", () => {});
    udp.unref();
    tcp.unref();
  }

  /** The error is that of the last port. */
  static async open(options: DnsServerOptions): Promise<Result<DnsServer, string>> {
    let problem = "no port is given";
    for (const port of options.ports) {
      const bound = await bind(options.host, port);
      if (bound.ok) return ok(new DnsServer(bound.value.udp, bound.value.tcp, bound.value.port, options));
      problem = bound.error;
    }
    return err(problem);
  }

  counters(): DnsServerCounters {
    return {
      queries: { ...this.#queries },
      drops: { ...this.#drops },
      truncated: this.#truncated,
      tcp: this.#tcpQueries,
    };
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
    for (const connection of this.#connections) connection.destroy();
  }

  #datagram(message: Uint8Array, address: string, port: number): void {
    if (!this.#options.own(address)) {
      this.#drops.foreign++;
      return;
    }
    const answer = this.#answer(message, "udp");
    if (answer !== undefined) this.#udp.send(answer, port, address, () => {});
  }

  #answer(message: Uint8Array, carrier: "udp" | "tcp"): Uint8Array | undefined {
    if (!this.#limit.take((this.#options.now ?? monotonic)())) {
      this.#drops.limited++;
      return undefined;
    }
    const read = readQuery(message);
    if (read === undefined) {
      this.#drops.malformed++;
      return undefined;
    }
    if ("answer" in read) {
      this.#queries[read.rcode.toLowerCase() as Outcome]++;
      return read.answer;
    }
    const { query } = read;
    const found = this.#options.resolve(query.name.toLowerCase(), query.type);
    if (found === undefined) {
      this.#queries.servfail++;
      return writeFailure(query);
    }
    const { code, answers } = found;
    this.#queries[code === "NOERROR" && answers.length === 0 ? "nodata" : (code.toLowerCase() as Outcome)]++;
    const answer = writeAnswer(query, found, carrier);
    if (((answer[2] as number) & 2) !== 0) this.#truncated++;
    return answer;
  }

  #connection(connection: Socket): void {
    if (!this.#options.own(connection.remoteAddress ?? "")) {
      this.#drops.foreign++;
      connection.destroy();
      return;
    }
    this.#connections.add(connection);
    connection.unref();
    connection.setTimeout(TCP_IDLE_MILLIS, () => connection.destroy());
    connection.on("close", () => this.#connections.delete(connection));
    connection.on("error", () => connection.destroy());
    let waiting: Buffer = Buffer.alloc(0);
    connection.on("data", (bytes: Buffer) => {
      waiting = Buffer.concat([waiting, bytes]);
      for (;;) {
        const length = waiting.length < 2 ? 0 : waiting.readUInt16BE(0);
        if (length > MAX_TCP_QUERY) {
          this.#drops.too_long++;
          connection.destroy();
          return;
        }
        if (waiting.length < 2 || waiting.length < 2 + length) return;
        this.#tcpQueries++;
        const answer = this.#answer(waiting.subarray(2, 2 + length), "tcp");
        waiting = waiting.subarray(2 + length);
        if (answer === undefined) {
          connection.destroy();
          return;
        }
        const framed = Buffer.alloc(2 + answer.length);
        framed.writeUInt16BE(answer.length, 0);
        framed.set(answer, 2);
        // Whoever asks without reading has no use for more.
        if (!connection.write(framed)) connection.destroy();
      }
    });
  }
}

function monotonic(): number {
  return performance.now();
}

interface Bound {
  readonly udp: UdpSocket;
  readonly tcp: Server;
  readonly port: number;
}

/** Both sockets on one port; port 0 is any. */
async function bind(host: string, port: number): Promise<Result<Bound, string>> {
  const where = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const tcp = createServer();
  const udp = createSocket(host.includes(":") ? "udp6" : "udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      tcp.once("error", reject);
      tcp.listen(port, host, resolve);
    });
    const address = tcp.address();
    const bound = typeof address === "object" && address !== null ? address.port : port;
    await new Promise<void>((resolve, reject) => {
      udp.once("error", reject);
      udp.bind({ port: bound, address: host, exclusive: true }, resolve);
    });
    udp.removeAllListeners("error");
    tcp.removeAllListeners("error");
    return ok({ udp, tcp, port: bound });
  } catch (error) {
    tcp.close();
    udp.close();
    return err(`${where}: ${whyNot(error)}`);
  }
}
