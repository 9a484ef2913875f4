/** Our `Host` on a bench: one identity, one peer, jobs that run at once, and every packet as it comes out. */
import type { Carrier, Hit, Instant, Path } from "../../src/core/types.ts";
import type { Identity } from "../../src/crypto/identity.ts";
import { DEFAULT_CONFIG, type HostConfig } from "../../src/hip/config.ts";
import { Host } from "../../src/hip/host.ts";
import type { HostInput, HostOutput } from "../../src/hip/io.ts";
import { runJob } from "../../src/hip/run-job.ts";
import type { SaSpec } from "../../src/hip/sa.ts";
import { SeededRandom } from "./random.ts";

const HOURS = 3_600_000;

export class Bench {
  readonly identity: Identity;
  readonly host: Host;
  readonly outputs: HostOutput[] = [];
  readonly sent: Buffer[] = [];
  readonly sas: SaSpec[] = [];
  now = HOURS as Instant;
  readonly #carrier: Carrier;

  constructor(
    identity: Identity,
    peer: Buffer,
    config: Partial<HostConfig> = {},
    seed = 7,
    carrier: Carrier = "udp",
  ) {
    this.identity = identity;
    this.#carrier = carrier;
    const hit = peer.toString("hex") as Hit;
    const port = carrier === "udp" ? 10500 : 0;
    const policy = {
      hit,
      localHit: identity.hit,
      carrier,
      locators: [{ address: "192.0.2.9", port }],
      inboundFamily: "hit" as const,
    };
    const book = { find: (other: Hit) => (other === hit ? policy : undefined), discovered: () => false };
    this.host = new Host({ ...DEFAULT_CONFIG, ...config }, [identity], book, new SeededRandom(seed));
    this.input({ type: "timeout" });
  }

  get hit(): Buffer {
    return Buffer.from(this.identity.hit, "hex");
  }

  get state(): string {
    return this.host.associations()[0]?.state ?? "UNASSOCIATED";
  }

  drops(): readonly string[] {
    return this.outputs.flatMap((output) => (output.type === "drop" ? [output.reason] : []));
  }

  connect(peer: Buffer): Buffer {
    return this.#packet({ type: "connect", peer: peer.toString("hex") as Hit });
  }

  /** What the timers have for this moment, as the locators after an exchange. */
  due(): void {
    this.input({ type: "timeout" });
  }

  /** Delivers a packet; the one that is sent for it. */
  answer(bytes: Uint8Array): Buffer {
    return this.#packet({ type: "datagram", bytes, path: this.path() });
  }

  #packet(input: HostInput): Buffer {
    const before = this.sent.length;
    this.input(input);
    if (this.sent.length !== before + 1)
      throw new Error(`${this.sent.length - before} packets were sent; drops: ${this.drops().join(",")}`);
    return this.sent[before] as Buffer;
  }

  path(): Path {
    const port = this.#carrier === "udp" ? 10500 : 0;
    return {
      carrier: this.#carrier,
      local: { address: "198.51.100.1", port },
      remote: { address: "192.0.2.9", port },
    };
  }

  input(input: HostInput): void {
    for (const output of this.host.handle(input, this.now)) {
      this.outputs.push(output);
      if (output.type === "send") this.sent.push(Buffer.from(output.bytes));
      if (output.type === "sa-add") this.sas.push(output.sa);
      if (output.type === "job") {
        this.input({
          type: "job-done",
          id: output.id,
          result: runJob(output.job, new Map([[this.identity.hit, this.identity]])),
        });
      }
    }
  }

  sa(direction: "in" | "out"): SaSpec {
    const found = this.sas.findLast((sa) => sa.direction === direction);
    if (found === undefined) throw new Error(`no ${direction} SA`);
    return found;
  }
}
