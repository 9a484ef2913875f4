/**
 * Base exchanges against TLS 1.3 handshakes with certificates of both sides, ECDSA P-256 and ECDH P-256 in both. Each
 * runs in memory on one thread, and the CPU time of the two ends is told apart: what counts is how many a server answers.
 */
import { randomBytes } from "node:crypto";
import type { Random } from "../src/core/random.ts";
import type { Hit, Instant, Path } from "../src/core/types.ts";
import { Identity } from "../src/crypto/identity.ts";
import { DEFAULT_CONFIG } from "../src/hip/config.ts";
import { Host } from "../src/hip/host.ts";
import type { HostInput, HostOutput, PeerBook, PeerPolicy } from "../src/hip/io.ts";
import { runJob } from "../src/hip/run-job.ts";
import { makeCertificate, program } from "./network.ts";
import { pairedRatio, summarize } from "./stats.ts";
import type { Network, Options, Row, Suite, Table } from "./suite.ts";

interface Sample {
  /** Handshakes for each CPU second of the responding end, and of both ends together. */
  readonly server: number;
  readonly both: number;
}

/** Milliseconds of protocol time between two exchanges: no timer of one is due in the next. */
const PAUSE = 100;

const random: Random = {
  bytes: (count) => new Uint8Array(randomBytes(count)),
  u32: () => randomBytes(4).readUInt32LE(),
};

/** One end of the exchange: a whole protocol engine with its crypto, and the CPU time it has used. */
class End implements PeerBook {
  readonly identity = Identity.generate("ecdsa-p256");
  readonly address: string;
  readonly host: Host;
  readonly #keys: ReadonlyMap<Hit, Identity>;
  #peer: PeerPolicy | undefined;
  cpuMicros = 0;

  constructor(address: string) {
    this.address = address;
    this.#keys = new Map([[this.identity.hit, this.identity]]);
    this.host = new Host(
      DEFAULT_CONFIG,
      [{ hit: this.identity.hit, suite: this.identity.suite }],
      this,
      random,
    );
  }

  meet(other: End): void {
    this.#peer = {
      hit: other.identity.hit,
      localHit: this.identity.hit,
      carrier: "udp",
      locators: [{ address: other.address, port: 10500 }],
      inboundFamily: "hit",
    };
  }

  find(peer: Hit): PeerPolicy | undefined {
    return this.#peer?.hit === peer ? this.#peer : undefined;
  }

  discovered(): boolean {
    return false;
  }

  /** Handles an input and all crypto that it asks for; gives the packets to send. */
  take(input: HostInput, now: Instant): Uint8Array[] {
    const begun = process.threadCpuUsage();
    const packets: Uint8Array[] = [];
    const todo: HostOutput[] = [...this.host.handle(input, now)];
    for (let output = todo.shift(); output !== undefined; output = todo.shift()) {
      if (output.type === "send") packets.push(output.bytes);
      if (output.type !== "job") continue;
      const result = runJob(output.job, this.#keys);
      todo.push(...this.host.handle({ type: "job-done", id: output.id, result }, now));
    }
    const used = process.threadCpuUsage(begun);
    this.cpuMicros += used.user + used.system;
    return packets;
  }
}

function path(from: End, to: End): Path {
  return {
    carrier: "udp",
    local: { address: to.address, port: 10500 },
    remote: { address: from.address, port: 10500 },
  };
}

/** Full exchanges, one after another; each association is forgotten before the next. */
function exchanges(
  initiator: End,
  responder: End,
  from: Instant,
  seconds: number,
): { count: number; now: Instant } {
  let now = from;
  let count = 0;
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    now = (now + PAUSE) as Instant;
    for (const host of [initiator, responder]) host.take({ type: "timeout" }, now);
    let [sender, receiver] = [initiator, responder];
    let packets = initiator.take({ type: "connect", peer: responder.identity.hit }, now);
    while (packets.length > 0) {
      const route = path(sender, receiver);
      packets = packets.flatMap((bytes) => receiver.take({ type: "datagram", bytes, path: route }, now));
      [sender, receiver] = [receiver, sender];
    }
    const state = initiator.host.association(responder.identity.hit)?.state;
    if (state !== "ESTABLISHED") throw new Error(`exchange ${count} ended in ${state ?? "no association"}`);
    // The end of an association is not counted, as SSL_free is not.
    const before = [initiator.cpuMicros, responder.cpuMicros] as const;
    initiator.take({ type: "forget", peer: responder.identity.hit }, now);
    responder.take({ type: "forget", peer: initiator.identity.hit }, now);
    [initiator.cpuMicros, responder.cpuMicros] = before;
    count++;
  }
  return { count, now };
}

async function run(network: Network, options: Options, tell: (line: string) => void): Promise<Table> {
  const tls = await program("tls-handshakes");
  const { certificate, key } = await makeCertificate(network.lab.folder);
  const [initiator, responder] = [new End("192.0.2.1"), new End("192.0.2.2")];
  initiator.meet(responder);
  responder.meet(initiator);
  let now = exchanges(initiator, responder, 1_000 as Instant, 1).now; // the compiler warms up
  const hip: Sample[] = [];
  const openssl: Sample[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    initiator.cpuMicros = 0;
    responder.cpuMicros = 0;
    const done = exchanges(initiator, responder, now, options.seconds);
    now = done.now;
    hip.push(sample(done.count, responder.cpuMicros / 1e6, initiator.cpuMicros / 1e6));
    tell(`round ${round}  hipd         ${hip.at(-1)?.server.toFixed(0)}/s`);
    const output = await network.client.run([tls, certificate, key, `${options.seconds}`]);
    const [count = 0, server = 1, client = 1] = output.split(" ").map(Number);
    openssl.push(sample(count, server, client));
    tell(`round ${round}  TLS OpenSSL  ${openssl.at(-1)?.server.toFixed(0)}/s`);
  }
  const all = { hipd: hip, "TLS OpenSSL": openssl };
  return {
    suite: "handshakes",
    title: "Handshakes that one core answers, ECDSA P-256 on both sides",
    unit: "handshakes/s",
    rows: [
      row("hipd", "HIP base exchange, the protocol engine with its crypto", all),
      row("TLS OpenSSL", "TLS 1.3 with client certificate, OpenSSL in C", all),
    ],
    notes: ['CPU time of the responding end only; "both ends" adds the initiator with its puzzle'],
  };
}

function sample(count: number, server: number, client: number): Sample {
  return { server: count / server, both: count / (server + client) };
}

function row(
  name: "hipd" | "TLS OpenSSL",
  what: string,
  all: Readonly<Record<string, readonly Sample[]>>,
): Row {
  const own = all[name] ?? [];
  const ratios: Record<string, number> = {};
  for (const [other, theirs] of Object.entries(all)) {
    ratios[other] = pairedRatio(
      own.map((one) => one.server),
      theirs.map((one) => one.server),
    );
  }
  return {
    contestant: name,
    what,
    summary: summarize(own.map((one) => one.server)),
    ratios,
    extra: { "both ends, 1/s": summarize(own.map((one) => one.both)).median },
  };
}

export const handshakes: Suite = {
  name: "handshakes",
  what: "base exchanges and TLS 1.3 handshakes a second",
  run,
};
