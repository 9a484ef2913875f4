/** Two hosts on virtual time, joined by a wire that the test may cut, delay and read. Jobs run at once. */
import { fromHex } from "../../src/core/bytes.ts";
import type { Endpoint, Hit, Instant, Path } from "../../src/core/types.ts";
import { Identity, type KeyKind } from "../../src/crypto/identity.ts";
import { DEFAULT_CONFIG, type HostConfig } from "../../src/hip/config.ts";
import { Host } from "../../src/hip/host.ts";
import type { HostInput, HostOutput, PeerBook, PeerPolicy } from "../../src/hip/io.ts";
import type { Job, JobResult } from "../../src/hip/job.ts";
import { runJob } from "../../src/hip/run-job.ts";
import type { SaSpec } from "../../src/hip/sa.ts";
import { parse } from "../../src/wire/packet.ts";
import { SeededRandom } from "./random.ts";

/** A packet on its way. */
export interface Flight {
  readonly from: Node;
  readonly to: Node;
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly at: Instant;
}

const identities = new Map<string, Identity>();

/** Key generation is slow for RSA: one key of each kind and number per process. */
export function identity(kind: KeyKind, number = 0): Identity {
  const key = `${kind}/${number}`;
  const known = identities.get(key);
  if (known !== undefined) return known;
  const fresh = Identity.generate(kind);
  identities.set(key, fresh);
  return fresh;
}

export class Node implements PeerBook {
  readonly name: string;
  readonly address: string;
  readonly identities: readonly Identity[];
  config: HostConfig;
  host: Host;
  readonly random: SeededRandom;
  readonly peers = new Map<Hit, PeerPolicy>();
  readonly outputs: HostOutput[] = [];
  readonly sas = new Map<string, SaSpec>();
  /** Every (key, first packet) pair that was ever installed for sending. */
  readonly outboundKeys: string[] = [];
  readonly routes = new Map<Hit, string>();
  /** Jobs wait here when the test holds them back. */
  readonly heldJobs: { id: number; job: Job }[] = [];
  holdJobs = false;
  acceptDiscovered = false;

  constructor(name: string, address: string, keys: readonly Identity[], config: HostConfig, seed: number) {
    this.name = name;
    this.address = address;
    this.identities = keys;
    this.config = config;
    this.random = new SeededRandom(seed);
    this.host = this.#newHost();
  }

  get hit(): Hit {
    return (this.identities[0] as Identity).hit;
  }

  /** State is lost; identity and peers stay. */
  reboot(): void {
    this.host = this.#newHost();
    this.sas.clear();
    this.routes.clear();
    this.heldJobs.length = 0;
  }

  knows(other: Node, policy: Partial<PeerPolicy> = {}): void {
    this.peers.set(other.hit, {
      hit: other.hit,
      localHit: this.hit,
      carrier: "udp",
      locators: [{ address: other.address, port: 10500 }],
      inboundFamily: "hit",
      ...policy,
    });
  }

  find(peer: Hit): PeerPolicy | undefined {
    return this.peers.get(peer);
  }

  discovered(peer: Hit, localHit: Hit, carrier: "udp" | "none", at: Endpoint): boolean {
    if (!this.acceptDiscovered) return false;
    this.peers.set(peer, { hit: peer, localHit, carrier, locators: [at], inboundFamily: "hit" });
    return true;
  }

  runJob(job: Job): JobResult {
    return runJob(job, new Map(this.identities.map((one) => [one.hit, one])));
  }

  state(peer: Node): string {
    return this.host.association(peer.hit)?.state ?? "UNASSOCIATED";
  }

  drops(reason?: string): number {
    return this.outputs.filter((o) => o.type === "drop" && (reason === undefined || o.reason === reason))
      .length;
  }

  events(name: string): readonly Extract<HostOutput, { type: "event" }>[] {
    return this.outputs.filter((o) => o.type === "event").filter((o) => o.name === name);
  }

  #newHost(): Host {
    const local = this.identities.map(({ hit, suite }) => ({ hit, suite }));
    return new Host(this.config, local, this, this.random);
  }
}

export class Pair {
  now = 1_000 as Instant;
  readonly a: Node;
  readonly b: Node;
  latency = 10;
  /** Return false to lose the packet. */
  filter: (flight: Flight) => boolean = () => true;
  readonly flights: Flight[] = [];
  readonly #inFlight: Flight[] = [];

  constructor(
    options: {
      a?: readonly Identity[];
      b?: readonly Identity[];
      config?: Partial<HostConfig>;
      seed?: number;
    } = {},
  ) {
    const config = { ...DEFAULT_CONFIG, ...options.config };
    const seed = options.seed ?? 1;
    this.a = new Node("a", "192.0.2.1", options.a ?? [identity("ecdsa-p256", 0)], config, seed);
    this.b = new Node("b", "198.51.100.7", options.b ?? [identity("ecdsa-p256", 1)], config, seed + 1);
    this.a.knows(this.b);
    this.b.knows(this.a);
    this.start();
  }

  /** Lets both make their first R1s. */
  start(): void {
    for (const node of [this.a, this.b]) this.input(node, { type: "timeout" });
  }

  other(node: Node): Node {
    return node === this.a ? this.b : this.a;
  }

  input(node: Node, input: HostInput): void {
    this.#take(node, node.host.handle(input, this.now));
  }

  connect(from: Node): void {
    this.input(from, { type: "connect", peer: this.other(from).hit });
  }

  deliver(to: Node, bytes: Uint8Array, path?: Path): void {
    const from = this.other(to);
    this.input(to, { type: "datagram", bytes, path: path ?? pathBetween(to, from) });
  }

  /** The last packet of a kind that a node sent. */
  sent(from: Node, name: string): Uint8Array | undefined {
    return this.flights.findLast((flight) => flight.from === from && flight.name === name)?.bytes;
  }

  releaseJobs(node: Node): void {
    for (const { id, job } of node.heldJobs.splice(0)) this.#finish(node, id, node.runJob(job));
  }

  /** Jumps from event to event until `done`, or throws after `limit` virtual milliseconds. */
  run(done: () => boolean, limit = 120_000): void {
    const end = this.now + limit;
    while (!done()) {
      if (!this.step(end))
        throw new Error(
          `not reached within ${limit} ms: a ${this.a.state(this.b)}, b ${this.b.state(this.a)}`,
        );
    }
  }

  /** Lets `milliseconds` pass. */
  pass(milliseconds: number): void {
    const end = (this.now + milliseconds) as Instant;
    while (this.step(end));
    this.now = end;
  }

  step(end: number): boolean {
    const next = Math.min(
      ...this.#inFlight.map(({ at }) => at + this.latency),
      ...[this.a, this.b].map((node) => node.host.deadline()?.at ?? Number.POSITIVE_INFINITY),
    );
    if (next > end) return false;
    this.now = Math.max(this.now, next) as Instant;
    const arrived = this.#inFlight.findIndex(({ at }) => at + this.latency <= this.now);
    if (arrived >= 0) {
      const [flight] = this.#inFlight.splice(arrived, 1);
      if (flight !== undefined) this.deliver(flight.to, flight.bytes);
      return true;
    }
    for (const node of [this.a, this.b]) {
      const due = node.host.deadline();
      if (due !== undefined && due.at <= this.now) this.input(node, { type: "timeout" });
    }
    return true;
  }

  #take(node: Node, outputs: readonly HostOutput[]): void {
    for (const output of outputs) {
      node.outputs.push(output);
      switch (output.type) {
        case "send": {
          const parsed = parse(output.bytes);
          const name = parsed.ok ? parsed.value.name : "?";
          const flight = { from: node, to: this.other(node), name, bytes: output.bytes, at: this.now };
          this.flights.push(flight);
          if (output.path.remote.address === flight.to.address && this.filter(flight))
            this.#inFlight.push(flight);
          break;
        }
        case "job":
          if (node.holdJobs) node.heldJobs.push({ id: output.id, job: output.job });
          else this.#finish(node, output.id, node.runJob(output.job));
          break;
        case "sa-add":
          node.sas.set(`${output.sa.direction}/${output.sa.spi}`, output.sa);
          if (output.sa.direction === "out")
            node.outboundKeys.push(Buffer.from(output.sa.encryptionKey).toString("hex"));
          break;
        case "sa-drop":
          node.sas.delete(`${output.direction}/${output.spi}`);
          break;
        case "route":
          node.routes.set(output.peer, String(output.via));
          break;
        default:
          break;
      }
    }
  }

  #finish(node: Node, id: number, result: JobResult): void {
    this.input(node, { type: "job-done", id: id as never, result });
  }
}

export function pathBetween(local: Node, remote: Node): Path {
  return {
    carrier: "udp",
    local: { address: local.address, port: 10500 },
    remote: { address: remote.address, port: 10500 },
  };
}

export const NO_BYTES = fromHex("");
