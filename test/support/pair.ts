/** Two hosts on virtual time, joined by a wire that the test may cut, delay, change and read. Jobs run at once, or when told. */
import { fromHex, toHex } from "../../src/core/bytes.ts";
import type { Carrier, Endpoint, Hit, Instant, Path, Spi } from "../../src/core/types.ts";
import { Identity, type KeyKind } from "../../src/crypto/identity.ts";
import { DEFAULT_CONFIG, type HostConfig } from "../../src/hip/config.ts";
import { Host } from "../../src/hip/host.ts";
import type { HostInput, HostOutput, PeerBook, PeerPolicy, StateName } from "../../src/hip/io.ts";
import type { Agreement, Job, JobResult } from "../../src/hip/job.ts";
import type { OwnLocator } from "../../src/hip/locator.ts";
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
  readonly path: Path;
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

/** Two identities, the one with the greater HIT first (RFC 7401 6.5). */
export function greaterFirst(): readonly [Identity, Identity] {
  const [one, other] = [identity("ecdsa-p256", 0), identity("ecdsa-p256", 1)];
  return one.hit > other.hit ? [one, other] : [other, one];
}

export class Node implements PeerBook {
  readonly name: string;
  /** The first is where it sends from. */
  addresses: readonly string[];
  identities: readonly Identity[];
  config: HostConfig;
  host: Host;
  readonly random: SeededRandom;
  readonly peers = new Map<Hit, PeerPolicy>();
  readonly outputs: HostOutput[] = [];
  readonly sas = new Map<string, SaSpec>();
  /** Keys of each SA that was ever installed for sending, also before a reboot. */
  readonly outboundKeys: string[] = [];
  /** SAs that were added twice or dropped without being there. */
  readonly faults: string[] = [];
  readonly routes = new Map<Hit, string>();
  /** Where the data plane was told to send, newest last. */
  readonly paths: Extract<HostOutput, { type: "sa-path" }>[] = [];
  /** Its addresses were changed by the test: what it sends must come from one of them. */
  moved = false;
  /** Jobs wait here when the test holds them back. */
  readonly heldJobs: { id: number; job: Job }[] = [];
  /** True holds back all jobs; a list, only those kinds. */
  holdJobs: boolean | readonly Job["kind"][] = false;
  /** May change a job before it runs, or its result. */
  runner: (job: Job, run: (job: Job) => JobResult) => JobResult = (job, run) => run(job);
  /** What the last job agreed upon with the peer. */
  agreement: Agreement | undefined;
  acceptDiscovered = false;

  constructor(name: string, address: string, keys: readonly Identity[], config: HostConfig, seed: number) {
    this.name = name;
    this.addresses = [address];
    this.identities = keys;
    this.config = config;
    this.random = new SeededRandom(seed);
    this.host = this.#newHost();
  }

  get address(): string {
    return this.addresses[0] as string;
  }

  get hit(): Hit {
    return (this.identities[0] as Identity).hit;
  }

  /** State is lost; identity and peers stay. */
  reboot(): void {
    this.config = { ...this.config, r1CounterStart: this.config.r1CounterStart + 1_000n };
    this.host = this.#newHost();
    this.sas.clear();
    this.routes.clear();
    this.heldJobs.length = 0;
  }

  knows(other: Node, policy: Partial<PeerPolicy> = {}): void {
    const carrier = policy.carrier ?? "udp";
    this.peers.set(other.hit, {
      hit: other.hit,
      localHit: this.hit,
      carrier,
      locators: [{ address: other.address, port: portOf(carrier) }],
      inboundFamily: "hit",
      ...policy,
    });
  }

  find(peer: Hit): PeerPolicy | undefined {
    return this.peers.get(peer);
  }

  discovered(peer: Hit, localHit: Hit, carrier: Carrier, at: Endpoint): boolean {
    if (!this.acceptDiscovered) return false;
    this.peers.set(peer, { hit: peer, localHit, carrier, locators: [at], inboundFamily: "hit" });
    return true;
  }

  holds(kind: Job["kind"]): boolean {
    return typeof this.holdJobs === "boolean" ? this.holdJobs : this.holdJobs.includes(kind);
  }

  runJob(job: Job): JobResult {
    const keys = new Map(this.identities.map((one) => [one.hit, one]));
    const result = this.runner(job, (one) => runJob(one, keys));
    if ("agreement" in result) this.agreement = result.agreement;
    return result;
  }

  state(peer: Node): StateName {
    return this.host.association(peer.hit)?.state ?? "UNASSOCIATED";
  }

  drops(reason?: string): number {
    return this.outputs.filter((o) => o.type === "drop" && (reason === undefined || o.reason === reason))
      .length;
  }

  events(name: string): readonly Extract<HostOutput, { type: "event" }>[] {
    return this.outputs.filter((o) => o.type === "event").filter((o) => o.name === name);
  }

  /** The SA of a direction that was added last. */
  sa(direction: "in" | "out"): SaSpec | undefined {
    return [...this.sas.values()].findLast((sa) => sa.direction === direction);
  }

  #newHost(): Host {
    const local = this.identities.map(({ hit, suite }) => ({ hit, suite }));
    return new Host(this.config, local, this, this.random);
  }
}

export interface PairOptions {
  a?: readonly Identity[];
  b?: readonly Identity[];
  config?: Partial<HostConfig>;
  configA?: Partial<HostConfig>;
  configB?: Partial<HostConfig>;
  carrier?: Carrier;
  seed?: number;
}

export class Pair {
  now = 1_000 as Instant;
  readonly a: Node;
  readonly b: Node;
  /** The two, and whoever the test adds. */
  readonly nodes: Node[] = [];
  latency = 10;
  /** What a NAT makes of a source. */
  translate: (source: Endpoint) => Endpoint = (source) => source;
  translateBack: (target: Endpoint) => Endpoint = (target) => target;
  /** False loses the packet; bytes replace it. */
  filter: (flight: Flight) => boolean | Uint8Array = () => true;
  readonly flights: Flight[] = [];
  readonly #inFlight: Flight[] = [];

  constructor(options: PairOptions = {}) {
    const config = { ...DEFAULT_CONFIG, ...options.config };
    const seed = options.seed ?? 1;
    const a = options.a ?? [identity("ecdsa-p256", 0)];
    const b = options.b ?? [identity("ecdsa-p256", 1)];
    this.a = new Node("a", "192.0.2.1", a, { ...config, ...options.configA }, seed);
    this.b = new Node("b", "198.51.100.7", b, { ...config, ...options.configB }, seed + 1);
    this.nodes.push(this.a, this.b);
    const policy = { carrier: options.carrier ?? "udp" };
    this.a.knows(this.b, policy);
    this.b.knows(this.a, policy);
    this.start();
  }

  /** Lets all make their first R1s. */
  start(): void {
    for (const node of this.nodes) this.input(node, { type: "timeout" });
  }

  /** A third host. */
  add(name: string, address: string, keys: readonly Identity[], config: Partial<HostConfig> = {}): Node {
    const node = new Node(name, address, keys, { ...DEFAULT_CONFIG, ...config }, this.nodes.length + 1);
    this.nodes.push(node);
    this.input(node, { type: "timeout" });
    return node;
  }

  other(node: Node): Node {
    return node === this.a ? this.b : this.a;
  }

  input(node: Node, input: HostInput): void {
    this.take(node, node.host.handle(input, this.now));
  }

  connect(from: Node): void {
    this.input(from, { type: "connect", peer: this.other(from).hit });
  }

  close(from: Node): void {
    this.input(from, { type: "close", peer: this.other(from).hit });
  }

  deliver(to: Node, bytes: Uint8Array, path?: Path): void {
    const from = this.other(to);
    this.input(to, { type: "datagram", bytes, path: path ?? pathBetween(to, from) });
  }

  /** The last packet of a kind that a node sent. */
  sent(from: Node, name: string): Uint8Array | undefined {
    return this.flights.findLast((flight) => flight.from === from && flight.name === name)?.bytes;
  }

  /** How many packets of a kind were sent, by whom. */
  count(name: string, from?: Node): number {
    return this.flights.filter((one) => one.name === name && (from === undefined || one.from === from))
      .length;
  }

  /** Runs held jobs: of one kind, or all. */
  releaseJobs(node: Node, kind?: Job["kind"]): void {
    const due = node.heldJobs.filter(({ job }) => kind === undefined || job.kind === kind);
    for (const one of due) node.heldJobs.splice(node.heldJobs.indexOf(one), 1);
    for (const { id, job } of due) this.finish(node, id, node.runJob(job));
  }

  finish(node: Node, id: number, result: JobResult): void {
    this.input(node, { type: "job-done", id: id as never, result });
  }

  /** Runs the exchange from `from` until it can send. */
  establish(from: Node = this.a): this {
    this.connect(from);
    this.run(() => from.state(this.other(from)) === "ESTABLISHED");
    return this;
  }

  /** ESTABLISHED at both ends, each told its own addresses, and all that follows from them is over. */
  settled(a: readonly string[] = this.a.addresses, b: readonly string[] = this.b.addresses): this {
    this.move(this.a, ...a);
    this.move(this.b, ...b);
    this.establish();
    this.input(this.b, { type: "esp", spi: this.b.sa("in")?.spi as Spi, event: "first-inbound" });
    this.pass(2_000);
    return this;
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
      ...this.nodes.map((node) => node.host.deadline()?.at ?? Number.POSITIVE_INFINITY),
    );
    if (next > end) return false;
    this.now = Math.max(this.now, next) as Instant;
    const arrived = this.#inFlight.findIndex(({ at }) => at + this.latency <= this.now);
    if (arrived >= 0) {
      const [flight] = this.#inFlight.splice(arrived, 1);
      if (flight !== undefined) this.arrive(flight);
      return true;
    }
    for (const node of this.nodes) {
      const due = node.host.deadline();
      if (due !== undefined && due.at <= this.now) this.input(node, { type: "timeout" });
    }
    return true;
  }

  /** A packet comes in, now. */
  arrive({ from, to, bytes, path }: Flight): void {
    // Whoever left an address gets nothing there.
    if (!to.addresses.includes(path.remote.address) && this.nodes.includes(to) && to.moved) return;
    const source = this.translate({ address: sourceOf(from, path), port: portOf(path.carrier) });
    const local = { ...this.translateBack(path.remote), port: portOf(path.carrier) };
    this.deliver(to, bytes, { carrier: path.carrier, local, remote: source });
  }

  /** A host has other addresses from now on, and is told. */
  move(node: Node, ...addresses: readonly string[]): void {
    node.moved = true;
    node.addresses = addresses;
    this.input(node, { type: "locators", own: addresses.map(ownLocator) });
  }

  /** What a host wants done is done. */
  take(node: Node, outputs: readonly HostOutput[]): void {
    for (const output of outputs) {
      node.outputs.push(output);
      switch (output.type) {
        case "send":
          this.#send(node, output.path, output.bytes);
          break;
        case "job":
          if (node.holds(output.job.kind)) node.heldJobs.push({ id: output.id, job: output.job });
          else this.finish(node, output.id, node.runJob(output.job));
          break;
        case "sa-add":
          this.#addSa(node, output.sa);
          break;
        case "sa-drop": {
          const key = `${output.direction}/${output.spi}`;
          if (!node.sas.delete(key)) node.faults.push(`${key} dropped but not there`);
          break;
        }
        case "route":
          node.routes.set(output.peer, String(output.via));
          break;
        case "sa-path":
          node.paths.push(output);
          break;
        default:
          break;
      }
    }
  }

  #send(from: Node, path: Path, bytes: Uint8Array): void {
    const parsed = parse(bytes);
    const name = parsed.ok ? parsed.value.name : "?";
    const reached = this.nodes.find((node) => node.addresses.includes(path.remote.address));
    const flight = { from, to: reached ?? this.other(from), name, bytes, path, at: this.now };
    this.flights.push(flight);
    if (reached === undefined || (from.moved && !from.addresses.includes(sourceOf(from, path)))) return;
    const verdict = this.filter(flight);
    if (verdict !== false) this.#inFlight.push(verdict === true ? flight : { ...flight, bytes: verdict });
  }

  #addSa(node: Node, sa: SaSpec): void {
    const key = `${sa.direction}/${sa.spi}`;
    if (node.sas.has(key)) node.faults.push(`${key} added twice`);
    node.sas.set(key, sa);
    if (sa.direction === "out") node.outboundKeys.push(toHex(sa.encryptionKey) + toHex(sa.integrityKey));
  }
}

export function portOf(carrier: Carrier): number {
  return carrier === "udp" ? 10500 : 0;
}

export function pathBetween(local: Node, remote: Node, carrier: Carrier = "udp"): Path {
  return {
    carrier,
    local: { address: local.address, port: portOf(carrier) },
    remote: { address: remote.address, port: portOf(carrier) },
  };
}

export const NO_BYTES = fromHex("");

/** The address that a packet leaves from: the kernel's choice where the path names none. */
function sourceOf(from: Node, path: Path): string {
  if (path.local.address !== "") return path.local.address;
  const v6 = path.remote.address.includes(":");
  return from.addresses.find((one) => one.includes(":") === v6) ?? from.address;
}

/** One of a host's own addresses, those named first preferred. */
export function ownLocator(address: string, index: number): OwnLocator {
  return { address, port: 0, kind: "host", local: true, preference: 100 - index, lifetime: undefined };
}
