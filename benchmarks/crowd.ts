/** Many initiators in one process: whole protocol engines with their crypto, behind a few UDP sockets on several addresses. */
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { toHex } from "../src/core/bytes.ts";
import { formatHit } from "../src/core/ip.ts";
import type { Random } from "../src/core/random.ts";
import type { Endpoint, Hit, Instant, Path } from "../src/core/types.ts";
import { Identity } from "../src/crypto/identity.ts";
import { DEFAULT_CONFIG, type HostConfig } from "../src/hip/config.ts";
import { Host } from "../src/hip/host.ts";
import type { HostInput, HostOutput, PeerPolicy } from "../src/hip/io.ts";
import type { JobResult } from "../src/hip/job.ts";
import { runJob } from "../src/hip/run-job.ts";

/** RFC 9028 5.1: four zero bytes tell HIP from ESP. */
const MARKER = 4;
/** Where the HIT of the receiver stands in a HIP packet (RFC 7401 5.1). */
const RECEIVER_AT = 24;
/** One group: nobody calls the initiators, and each group costs two R1s. */
const CONFIG: HostConfig = {
  ...DEFAULT_CONFIG,
  dhGroups: [7],
  puzzle: { ...DEFAULT_CONFIG.puzzle, idleK: 0 },
};
/** A packet type (RFC 7401 5.3). */
const R2 = 4;
/** How often retransmissions are looked for, in milliseconds. */
const TICK = 100;

const random: Random = {
  bytes: (count) => new Uint8Array(randomBytes(count)),
  u32: () => randomBytes(4).readUInt32LE(),
};

export interface CrowdOptions {
  readonly count: number;
  /** Source addresses; each gets `socketsPerAddress` ports. */
  readonly addresses: readonly string[];
  readonly socketsPerAddress: number;
  readonly target: Endpoint & { readonly hit: Hit };
}

class Member {
  readonly identity = Identity.generate("ecdsa-p256");
  readonly socket: Socket;
  readonly local: Endpoint;
  readonly #keys: ReadonlyMap<Hit, Identity>;
  readonly #policy: PeerPolicy;
  #host: Host | undefined;
  /** A packet that completed an exchange up to its end: the pattern of forged ones. */
  lastI2: Uint8Array | undefined;

  constructor(socket: Socket, target: CrowdOptions["target"]) {
    this.socket = socket;
    const { address, port } = socket.address();
    this.local = { address, port };
    this.#keys = new Map([[this.identity.hit, this.identity]]);
    const { hit, ...locator } = target;
    this.#policy = {
      hit,
      localHit: this.identity.hit,
      carrier: "udp",
      locators: [locator],
      inboundFamily: "hit",
    };
  }

  get established(): boolean {
    const state = this.#host?.association(this.#policy.hit)?.state;
    return state === "ESTABLISHED";
  }

  /** Neither an exchange nor an association. */
  get idle(): boolean {
    const state = this.#host?.association(this.#policy.hit)?.state ?? "UNASSOCIATED";
    return state === "UNASSOCIATED";
  }

  take(input: HostInput, now: Instant): void {
    this.#host ??= this.#make();
    this.#carry(this.#host.handle(input, now), now);
  }

  due(now: Instant): boolean {
    const at = this.#host?.deadline()?.at;
    return at !== undefined && at <= now;
  }

  /** The association is forgotten on this side only, as a crash does. */
  crash(): void {
    this.#host = undefined;
  }

  hear(bytes: Uint8Array, now: Instant): void {
    const remote = this.#policy.locators[0] as Endpoint;
    const path: Path = { carrier: "udp", local: this.local, remote };
    this.take({ type: "datagram", bytes, path }, now);
  }

  #make(): Host {
    const { hit, suite } = this.identity;
    const find = (peer: Hit): PeerPolicy | undefined =>
      peer === this.#policy.hit ? this.#policy : undefined;
    return new Host(CONFIG, [{ hit, suite }], { find, discovered: () => false }, random);
  }

  #carry(outputs: readonly HostOutput[], now: Instant): void {
    for (const output of outputs) {
      if (output.type === "send") this.#send(output.path, output.bytes);
      // Nobody calls the initiators: their R1s are never made.
      if (output.type !== "job" || output.job.kind === "make-r1") continue;
      const result: JobResult = runJob(output.job, this.#keys);
      if (result.kind === "answer-r1") this.lastI2 = result.i2;
      this.take({ type: "job-done", id: output.id, result }, now);
    }
  }

  #send(path: Path, bytes: Uint8Array): void {
    const datagram = new Uint8Array(MARKER + bytes.length);
    datagram.set(bytes, MARKER);
    this.socket.send(datagram, path.remote.port, path.remote.address);
  }
}

export interface Progress {
  readonly established: number;
  readonly seconds: number;
}

export class Crowd {
  readonly #options: CrowdOptions;
  readonly #members = new Map<Hit, Member>();
  readonly #sockets: Socket[] = [];
  onEstablished: (() => void) | undefined;

  private constructor(options: CrowdOptions) {
    this.#options = options;
  }

  static async create(options: CrowdOptions): Promise<Crowd> {
    const crowd = new Crowd(options);
    for (const address of options.addresses) {
      for (let i = 0; i < options.socketsPerAddress; i++) {
        const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20 });
        socket.bind(0, address);
        await once(socket, "listening");
        socket.on("message", (datagram) => crowd.#hear(datagram));
        crowd.#sockets.push(socket);
      }
    }
    for (let i = 0; i < options.count; i++) {
      const member = new Member(crowd.#sockets[i % crowd.#sockets.length] as Socket, options.target);
      crowd.#members.set(member.identity.hit, member);
    }
    return crowd;
  }

  get target(): CrowdOptions["target"] {
    return this.#options.target;
  }

  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  /** The text of a file for peers.d. */
  peersFile(): string {
    const tables = this.members.map(({ identity, local }, i) =>
      [
        "[[peer]]",
        `name = "crowd-${i}"`,
        `hit = "${formatHit(identity.hit)}"`,
        `locators = ["${local.address}:${local.port}"]`,
      ].join("\n"),
    );
    return `${tables.join("\n\n")}\n`;
  }

  /** What programs/knock.c reads: where to knock from, and the I2 of each member that has completed an exchange. */
  patterns(): string {
    const from = this.#options.addresses.map((address) => `from ${address}`);
    const i2s = this.members.flatMap(({ lastI2 }) => (lastI2 === undefined ? [] : [`i2 ${toHex(lastI2)}`]));
    return `${[...from, ...i2s].join("\n")}\n`;
  }

  /** Full exchanges of `count` members without an association, `parallel` at a time, until all have one. */
  async connect(count: number, parallel: number, limitMillis: number): Promise<Progress> {
    const begun = performance.now();
    const waiting = this.members.filter((member) => !member.established).slice(0, count);
    const open = new Set<Member>();
    let established = 0;
    const more = (): void => {
      while (open.size < parallel) {
        const member = waiting.pop();
        if (member === undefined) return;
        open.add(member);
        member.take({ type: "connect", peer: this.#options.target.hit }, clock());
      }
    };
    const look = (): void => {
      for (const member of open) {
        if (!member.established) continue;
        open.delete(member);
        established++;
      }
      more();
    };
    this.onEstablished = look;
    more();
    while (open.size > 0 && performance.now() - begun < limitMillis) {
      await new Promise((resolve) => setTimeout(resolve, TICK));
      const now = clock();
      for (const member of open) {
        if (member.due(now)) member.take({ type: "timeout" }, now);
        // It gave up: once more from the start.
        else if (member.idle) member.take({ type: "connect", peer: this.#options.target.hit }, now);
      }
      look();
    }
    this.onEstablished = undefined;
    return { established, seconds: (performance.now() - begun) / 1000 };
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }

  #hear(datagram: Buffer): void {
    if (datagram.length < MARKER + RECEIVER_AT + 16 || datagram.readUInt32BE(0) !== 0) return;
    const bytes = new Uint8Array(datagram.subarray(MARKER));
    const member = this.#members.get(toHex(bytes.subarray(RECEIVER_AT, RECEIVER_AT + 16)) as Hit);
    if (member === undefined) return;
    member.hear(bytes, clock());
    if (this.onEstablished !== undefined && bytes[2] === R2) this.onEstablished();
  }
}

function clock(): Instant {
  return (performance.now() + 1) as Instant;
}
