/** Keys and crypto for the simulator: the same identities in every run, jobs that end after a seeded delay. */
import { createHash } from "node:crypto";
import { concat, fromHex } from "../../src/core/bytes.ts";
import type { Hit } from "../../src/core/types.ts";
import { Identity } from "../../src/crypto/identity.ts";
import type { JobRunner } from "../../src/driver/ports.ts";
import type { Agreement, Job, JobResult } from "../../src/hip/job.ts";
import { runJob } from "../../src/hip/run-job.ts";
import type { EventQueue } from "./clock.ts";
import type { SeededRandom } from "./random.ts";

export type SimKeyKind = "ecdsa-p256" | "ed25519";

/** PKCS#8 up to the private key's 32 bytes (RFC 5958, RFC 5915, RFC 8410). */
const PKCS8: Readonly<Record<SimKeyKind, string>> = {
  "ecdsa-p256": "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420",
  ed25519: "302e020100300506032b657004220420",
};

const made = new Map<string, Identity>();

/** The identity of this kind and number: the same in every process, so that HITs compare the same. */
export function simIdentity(kind: SimKeyKind, number: number): Identity {
  const label = `simulated ${kind} ${number}`;
  const known = made.get(label);
  if (known !== undefined) return known;
  const secret = new Uint8Array(createHash("sha256").update(label).digest());
  const identity = Identity.fromPrivateKey(concat(fromHex(PKCS8[kind]), secret));
  if (!identity.ok) throw new Error(identity.error);
  made.set(label, identity.value);
  return identity.value;
}

export interface SimJobOptions {
  readonly queue: EventQueue;
  readonly random: SeededRandom;
  readonly identities: ReadonlyMap<Hit, Identity>;
  /** Mean delay in milliseconds at the moment. */
  readonly delay: () => number;
  /** Whoever waited for the result may be gone. */
  readonly alive: () => boolean;
  /** Somebody who holds the key of `local` has derived these keys with `peer`. */
  readonly derived: (local: Hit, agreement: Agreement) => void;
  readonly limit: (running: number) => void;
  /** A machine that sleeps goes on later. */
  readonly whenAwake: (task: () => void) => void;
}

/** Runs each job at once, and hands over its result later. */
export class SimJobs implements JobRunner {
  readonly #options: SimJobOptions;
  #running = 0;

  constructor(options: SimJobOptions) {
    this.#options = options;
  }

  run(job: Job, done: (result: JobResult) => void): void {
    const { queue, random, identities, delay, alive, derived, limit, whenAwake } = this.#options;
    limit(++this.#running);
    const result = runJob(job, identities);
    if ("agreement" in result && "localHit" in job) derived(job.localHit, result.agreement);
    queue.after(Math.round(1000 * (0.05 + random.exponential(delay()))) / 1000, () =>
      whenAwake(() => {
        this.#running--;
        if (alive()) done(result);
      }),
    );
  }
}
