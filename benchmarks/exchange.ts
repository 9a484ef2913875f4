/** Base exchanges in memory: two whole protocol engines with their cryptography, and the CPU time of each. */
import { randomBytes } from "node:crypto";
import type { Random } from "../src/core/random.ts";
import type { Hit, Instant, Path } from "../src/core/types.ts";
import { Identity } from "../src/crypto/identity.ts";
import { DEFAULT_CONFIG } from "../src/hip/config.ts";
import { Host } from "../src/hip/host.ts";
import type { HostInput, HostOutput, PeerBook, PeerPolicy } from "../src/hip/io.ts";
import { runJob } from "../src/hip/run-job.ts";

/** Milliseconds of protocol time between two exchanges: no timer of one is due in the next. */
const PAUSE = 100;

const random: Random = {
  bytes: (count) => new Uint8Array(randomBytes(count)),
  u32: () => randomBytes(4).readUInt32LE(),
};

/** One end of the exchange: a whole protocol engine with its crypto, and the CPU time it has used. */
export class End implements PeerBook {
  readonly identity = Identity.generate("ecdsa-p256");
  readonly address: string;
  readonly host: Host;
  readonly #keys: ReadonlyMap<Hit, Identity>;
  #peer: PeerPolicy | undefined;
  /** CPU time of the protocol engine, and of the cryptographic jobs that it asks for. */
  engineMicros = 0;
  jobMicros = 0;

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
    const packets: Uint8Array[] = [];
    const todo: HostOutput[] = [...this.#engine(input, now)];
    for (let output = todo.shift(); output !== undefined; output = todo.shift()) {
      if (output.type === "send") packets.push(output.bytes);
      if (output.type !== "job") continue;
      const begun = process.threadCpuUsage();
      const result = runJob(output.job, this.#keys);
      this.jobMicros += since(begun);
      todo.push(...this.#engine({ type: "job-done", id: output.id, result }, now));
    }
    return packets;
  }

  /** Ends the association, which costs nothing that counts. */
  forget(other: End, now: Instant): void {
    const before = [this.engineMicros, this.jobMicros] as const;
    this.take({ type: "forget", peer: other.identity.hit }, now);
    [this.engineMicros, this.jobMicros] = before;
  }

  #engine(input: HostInput, now: Instant): readonly HostOutput[] {
    const begun = process.threadCpuUsage();
    const outputs = this.host.handle(input, now);
    this.engineMicros += since(begun);
    return outputs;
  }

  get cpuMicros(): number {
    return this.engineMicros + this.jobMicros;
  }

  reset(): void {
    this.engineMicros = 0;
    this.jobMicros = 0;
  }
}

function since(begun: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(begun);
  return user + system;
}

function path(from: End, to: End): Path {
  return {
    carrier: "udp",
    local: { address: to.address, port: 10500 },
    remote: { address: from.address, port: 10500 },
  };
}

/** Full exchanges, one after another; each association is forgotten before the next. */
export function exchanges(
  initiator: End,
  responder: End,
  from: Instant,
  seconds: number,
  watch: (bytes: Uint8Array) => void = () => {},
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
      packets.forEach(watch);
      packets = packets.flatMap((bytes) => receiver.take({ type: "datagram", bytes, path: route }, now));
      [sender, receiver] = [receiver, sender];
    }
    const state = initiator.host.association(responder.identity.hit)?.state;
    if (state !== "ESTABLISHED") throw new Error(`exchange ${count} ended in ${state ?? "no association"}`);
    // The end of an association is not counted, as SSL_free is not.
    initiator.forget(responder, now);
    responder.forget(initiator, now);
    count++;
  }
  return { count, now };
}

/** Two ends that know each other. */
export function strangers(): { initiator: End; responder: End } {
  const [initiator, responder] = [new End("192.0.2.1"), new End("192.0.2.2")];
  initiator.meet(responder);
  responder.meet(initiator);
  return { initiator, responder };
}
