/** Ten thousand associations of one host: what each costs, and that nothing of them is left behind. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { hitBytes, hitFromBytes } from "../../src/core/ip.ts";
import type { Hit, Instant, Path, Spi } from "../../src/core/types.ts";
import { addMac2 } from "../../src/crypto/signature.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { Host } from "../../src/hip/host.ts";
import type { HostInput, HostOutput, PeerPolicy } from "../../src/hip/io.ts";
import type { Agreement, Job, JobResult } from "../../src/hip/job.ts";
import { build } from "../../src/wire/packet.ts";
import { HOST_ID, PUZZLE } from "../../src/wire/rfc7401.ts";
import { Pair } from "../support/pair.ts";
import { SeededRandom } from "../support/random.ts";

const COUNT = 10_000;
/** JavaScript of one association inside `Host`, in bytes: measured 1,450. */
const MOST_BYTES = 1_800;
const LOCAL = "20010020000000000000000000000001" as Hit;
const HOUR = 3_600_000 as Instant;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function memory(): number {
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function peerHit(n: number): Hit {
  const bytes = hitBytes(LOCAL);
  new DataView(bytes.buffer).setUint32(8, n + 1);
  return hitFromBytes(bytes);
}

/** As long as those of ECDSA P-256. */
function agreement(random: SeededRandom): Agreement {
  const bytes = (count: number): Uint8Array => random.bytes(count);
  const esp = { encryptionKey: bytes(20), integrityKey: bytes(0) };
  return {
    rhash: "sha256",
    hipCipher: 2,
    dhGroup: 7,
    espSuite: 13,
    macOut: bytes(32),
    macIn: bytes(32),
    encryptOut: bytes(16),
    encryptIn: bytes(16),
    espOut: esp,
    espIn: esp,
    kij: bytes(32),
    i: bytes(32),
    j: bytes(32),
    keymatIndex: 136,
    dh: { group: 7, publicValue: bytes(64), privateKey: bytes(32) },
    peerPublic: bytes(64),
    peer: { algorithm: 7, hostIdentity: bytes(66) },
    peerDomain: "",
    peerSpi: undefined,
    peerLsiSpi: undefined,
  };
}

/** A host that calls everybody, with crypto that agrees to everything at once. */
class Caller {
  readonly random = new SeededRandom(5);
  readonly host: Host;
  now = HOUR;
  inboundSas = 0;
  #agreed: Agreement | undefined;
  readonly #hostId = HOST_ID.of({
    algorithm: 7,
    hostIdentity: this.random.bytes(66),
    diType: 0,
    domainId: new Uint8Array(0),
  });
  readonly #hostIdTlv = this.random.bytes(80);
  readonly #policies = new Map<Hit, PeerPolicy>();

  constructor() {
    const find = (peer: Hit): PeerPolicy | undefined => this.#policies.get(peer);
    this.host = new Host(
      { ...DEFAULT_CONFIG, dhGroups: [7] },
      [{ hit: LOCAL, suite: 2 }],
      { find, discovered: () => false },
      this.random,
    );
  }

  /** The base exchange with one peer. */
  exchange(n: number): void {
    const peer = peerHit(n);
    const address = `198.51.${n >> 8}.${n & 255}`;
    const remote = { address, port: 10500 };
    this.#policies.set(peer, {
      hit: peer,
      localHit: LOCAL,
      carrier: "udp",
      locators: [remote],
      inboundFamily: "hit",
    });
    const path: Path = { carrier: "udp", local: { address: "192.0.2.1", port: 10500 }, remote };
    this.input({ type: "connect", peer });
    const puzzle = PUZZLE.of({ k: 0, lifetime: 37, opaque: 0, i: new Uint8Array(32) });
    const r1 = build({ name: "R1", sender: peer, receiver: LOCAL, parameters: [puzzle, this.#hostId] });
    this.input({ type: "datagram", bytes: r1, path });
    const { macIn } = this.#agreed as Agreement;
    const r2 = build({ name: "R2", sender: peer, receiver: LOCAL, parameters: [] });
    this.input({ type: "datagram", bytes: addMac2(r2, "sha256", macIn, this.#hostIdTlv), path });
  }

  input(input: HostInput): void {
    this.carry(this.host.handle(input, this.now));
  }

  carry(outputs: readonly HostOutput[]): void {
    for (const output of outputs) {
      if (output.type === "sa-add" && output.sa.direction === "in") this.inboundSas++;
      if (output.type === "sa-drop" && output.direction === "in") this.inboundSas--;
      if (output.type !== "job") continue;
      this.input({ type: "job-done", id: output.id, result: this.#result(output.job) });
    }
  }

  #result(job: Job): JobResult {
    switch (job.kind) {
      case "answer-r1":
        this.#agreed = agreement(this.random);
        return {
          kind: "answer-r1",
          i2: this.random.bytes(600),
          hostId: this.#hostIdTlv,
          r1Counter: undefined,
          lsiSpi: undefined,
          puzzleK: 0,
          locators: [],
          agreement: this.#agreed,
        };
      case "accept-r2": {
        const peerSpi = (this.random.u32() | 0x100) >>> 0;
        return {
          kind: "accept-r2",
          peerSpi: peerSpi as Spi,
          peerLsiSpi: undefined,
          mapped: undefined,
          locators: [],
        };
      }
      case "seal":
        return { kind: "seal", bytes: new Uint8Array(40) };
      default:
        return { kind: "refused", of: job.kind, reason: "busy", detail: "", notify: undefined };
    }
  }
}

describe("a host with ten thousand associations", () => {
  it("spends little on each and keeps nothing of those that are forgotten", { timeout: 120_000 }, () => {
    const caller = new Caller();
    // Code is compiled and tables have their first size.
    for (let n = COUNT; n < COUNT + 200; n++) caller.exchange(n);
    const before = memory();
    for (let n = 0; n < COUNT; n++) caller.exchange(n);
    const each = (memory() - before) / COUNT;
    const { host } = caller;
    expect(host.associations().filter(({ state }) => state === "ESTABLISHED")).toHaveLength(COUNT + 200);
    expect(host.entries()).toMatchObject({ associations: COUNT + 200, timers: COUNT + 200, jobs: 0 });
    expect(caller.inboundSas).toBe(COUNT + 200);

    for (let n = 0; n < COUNT + 200; n++) caller.input({ type: "forget", peer: peerHit(n) });
    expect(host.entries()).toEqual({ associations: 0, timers: 0, spis: 0, jobs: 0 });
    expect(caller.inboundSas).toBe(0);
    // What stays are the peers' policies.
    const left = (memory() - before) / COUNT;
    expect(left).toBeLessThan(500);
    expect(each - left).toBeLessThan(MOST_BYTES);
  });
});

it("an association has the configured locator itself, not the copy that came with a packet", () => {
  const pair = new Pair({ config: { dhGroups: [7] } }).establish();
  for (const [node, other] of [[pair.a, pair.b] as const, [pair.b, pair.a] as const]) {
    expect(node.host.paths(other.hit)[0]?.path.remote).toBe(node.find(other.hit)?.locators[0]);
  }
});
